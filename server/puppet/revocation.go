package puppet

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// revocationRequest holds the parameters of a revocation, from the query and the body together.
type revocationRequest struct {
	tokens, usernames, labels, ids []string
	unrecognized                   []string
}

// list returns the list that a parameter fills, or nil if the parameter is unknown.
func (n *revocationRequest) list(parameter string) *[]string {
	switch parameter {
	case "revoke_tokens":
		return &n.tokens
	case "revoke_tokens_by_usernames":
		return &n.usernames
	case "revoke_tokens_by_labels":
		return &n.labels
	case "revoke_tokens_by_ids":
		return &n.ids
	}
	return nil
}

// details holds what could not be revoked, and why, and whether anything else was revoked.
type details struct {
	MalformedTokens           []string `json:"malformed_tokens,omitempty"`
	MalformedLabels           []string `json:"malformed_labels,omitempty"`
	MalformedUsernames        []string `json:"malformed_usernames,omitempty"`
	MalformedIDs              []string `json:"malformed_ids,omitempty"`
	NonexistentUsernames      []string `json:"nonexistent_usernames,omitempty"`
	PermissionDeniedUsernames []string `json:"permission_denied_usernames,omitempty"`
	PermissionDeniedIDs       []string `json:"permission_denied_ids,omitempty"`
	UnrecognizedParameters    []string `json:"unrecognized_parameters,omitempty"`
	OtherTokensRevoked        bool     `json:"other_tokens_revoked"`
}

// complaints returns one sentence for each kind of problem in d.
func (d *details) complaints() (out []string) {
	for _, c := range []struct {
		values []string
		text   string
	}{
		{d.PermissionDeniedUsernames, "You do not have permission to revoke the tokens of these users."},
		{d.PermissionDeniedIDs, "You do not have permission to revoke tokens by these IDs."},
		{d.NonexistentUsernames, "No users with these logins exist."},
		{d.MalformedTokens, "These tokens are malformed; part of a token may have been lost when it was copied."},
		{d.MalformedLabels, "These labels are malformed."},
		{d.MalformedUsernames, "These logins are malformed."},
		{d.MalformedIDs, "These IDs do not identify a token or a user."},
		{d.UnrecognizedParameters, "These parameters are unknown."},
	} {
		if len(c.values) > 0 {
			out = append(out, c.text)
		}
	}
	return out
}

// any reports whether anything went wrong.
func (d *details) any() bool { return len(d.complaints()) > 0 }

// failure returns the response for d.
func (d *details) failure(status int, kind string) *failure {
	end := "No tokens were revoked."
	if d.OtherTokensRevoked {
		end = "All other tokens were successfully revoked."
	}
	return &failure{status: status, kind: kind, msg: strings.Join(append(d.complaints(), end), " "), details: d}
}

// malformedRevocation returns the failure for a request that cannot be parsed, so that nothing was
// revoked.
func malformedRevocation(msg string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "malformed-token-request", msg: msg + " No tokens were revoked."}
}

// readRevocation reads what to revoke. It returns an error if the request cannot be parsed, so that
// nothing is revoked then, but only collects the names of unknown parameters. An empty list counts
// as an absent parameter.
func readRevocation(r *http.Request) (revocationRequest, error) {
	query, object, err := readParameters(r)
	if err != nil {
		return revocationRequest{}, err
	}
	return parseRevocation(query, object)
}

// readUnexpected reads a request that should have no parameters, and returns the names of those
// that it has.
func readUnexpected(r *http.Request) ([]string, error) {
	query, object, err := readParameters(r)
	return slices.Concat(slices.Sorted(maps.Keys(query)), slices.Sorted(maps.Keys(object))), err
}

// readParameters reads the query, without the token that authenticates the caller, and the body. It
// parses the body as JSON whatever its media type, because a published client sends it with curl's
// default media type.
func readParameters(r *http.Request) (url.Values, strictjson.Object, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !isUTF8(query) {
		return nil, nil, malformedRevocation("The query string cannot be parsed.")
	}
	query.Del("token")
	body, err := readBody(r)
	switch {
	case errors.Is(err, request.ErrTooLarge):
		return nil, nil, err
	case err != nil:
		return nil, nil, malformedRevocation("The request body ended early or arrived too slowly.")
	case len(body) == 0:
		return query, nil, nil
	}
	object, err := strictjson.ParseObject(body)
	if err != nil {
		return nil, nil, malformedRevocation("The request body cannot be parsed: " + err.Error() + ".")
	}
	return query, object, nil
}

// isUTF8 reports whether all of a query is valid UTF-8. JSON would replace the invalid parts, so a
// response could not repeat such a query faithfully.
func isUTF8(query url.Values) bool {
	for parameter, values := range query {
		if !utf8.ValidString(parameter) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return false
		}
	}
	return true
}

func parseRevocation(query url.Values, object strictjson.Object) (revocationRequest, error) {
	var n revocationRequest
	for _, parameter := range slices.Sorted(maps.Keys(query)) {
		list := n.list(parameter)
		if list == nil {
			n.unrecognized = append(n.unrecognized, parameter)
			continue
		}
		for _, value := range query[parameter] {
			if value != "" {
				*list = append(*list, strings.Split(value, ",")...)
			}
		}
	}
	for _, parameter := range slices.Sorted(maps.Keys(object)) {
		list := n.list(parameter)
		if list == nil {
			n.unrecognized = append(n.unrecognized, parameter)
			continue
		}
		values, ok := stringList(object[parameter])
		if !ok {
			return revocationRequest{}, malformedRevocation("The value of " + parameter + " must be a list of strings.")
		}
		*list = append(*list, values...)
	}
	if len(n.tokens)+len(n.usernames)+len(n.labels)+len(n.ids)+len(n.unrecognized) == 0 {
		return revocationRequest{}, malformedRevocation("Specify what to revoke with revoke_tokens, revoke_tokens_by_usernames, revoke_tokens_by_labels or revoke_tokens_by_ids.")
	}
	return n, nil
}

// stringList parses a list of strings. It returns false for anything else, null included.
func stringList(raw json.RawMessage) ([]string, bool) {
	var items []json.RawMessage
	if strictjson.IsNull(raw) || json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		s, ok := strictjson.String(item)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}
