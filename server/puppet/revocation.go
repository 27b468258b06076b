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

// named is what a revocation names, from the query and the body together.
type named struct {
	tokens, usernames, labels, ids []string
	unrecognized                   []string
}

// list returns the list that a parameter fills, nil for a parameter that is not known.
func (n *named) list(parameter string) *[]string {
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

// details are what could not be done, and whether the rest was.
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

// complaints are the sentences that the details come to.
func (d *details) complaints() (out []string) {
	for _, c := range []struct {
		what []string
		text string
	}{
		{d.PermissionDeniedUsernames, "You may not revoke the tokens of these users."},
		{d.PermissionDeniedIDs, "You may not revoke what these ids stand for."},
		{d.NonexistentUsernames, "There are no users with these logins."},
		{d.MalformedTokens, "These are no tokens; perhaps part of one was lost when it was copied."},
		{d.MalformedLabels, "These cannot be labels."},
		{d.MalformedUsernames, "These cannot be logins."},
		{d.MalformedIDs, "These are not the ids of a token or a user."},
		{d.UnrecognizedParameters, "These parameters are not known here."},
	} {
		if len(c.what) > 0 {
			out = append(out, c.text)
		}
	}
	return out
}

func (d *details) any() bool { return len(d.complaints()) > 0 }

func (d *details) failure(status int, kind string) *failure {
	end := "No tokens were revoked."
	if d.OtherTokensRevoked {
		end = "All other tokens were successfully revoked."
	}
	return &failure{status: status, kind: kind, msg: strings.Join(append(d.complaints(), end), " "), details: d}
}

// malformedRevocation is a request of which nothing was carried out.
func malformedRevocation(msg string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "malformed-token-request", msg: msg + " No tokens were revoked."}
}

// readRevocation reads what to revoke. What cannot be read is an error, and then nothing is carried out; a parameter that is
// not known is noted. Empty lists are no parameter.
func readRevocation(r *http.Request) (named, error) {
	query, object, err := readParameters(r)
	if err != nil {
		return named{}, err
	}
	return parseRevocation(query, object)
}

// readNothing reads a request that takes no parameters, and returns the names of those it has all the same.
func readNothing(r *http.Request) ([]string, error) {
	query, object, err := readParameters(r)
	return slices.Concat(slices.Sorted(maps.Keys(query)), slices.Sorted(maps.Keys(object))), err
}

// readParameters reads the query, without the credential, and the body, which is taken for JSON whatever it is called: a
// published client sends it under curl's default media type.
func readParameters(r *http.Request) (url.Values, strictjson.Object, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !isUTF8(query) {
		return nil, nil, malformedRevocation("The query cannot be read.")
	}
	query.Del("token")
	body, err := readBody(r)
	switch {
	case errors.Is(err, request.ErrTooLarge):
		return nil, nil, err
	case err != nil:
		return nil, nil, malformedRevocation("The body ended early or came too slowly.")
	case len(body) == 0:
		return query, nil, nil
	}
	object, err := strictjson.ParseObject(body)
	if err != nil {
		return nil, nil, malformedRevocation("The body is not a JSON object: " + err.Error() + ".")
	}
	return query, object, nil
}

// isUTF8 says whether a query can be told from any other when it is repeated in JSON.
func isUTF8(query url.Values) bool {
	for parameter, values := range query {
		if !utf8.ValidString(parameter) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return false
		}
	}
	return true
}

func parseRevocation(query url.Values, object strictjson.Object) (named, error) {
	var n named
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
		values, ok := texts(object[parameter])
		if !ok {
			return named{}, malformedRevocation("The value of " + parameter + " must be a list of strings.")
		}
		*list = append(*list, values...)
	}
	if len(n.tokens)+len(n.usernames)+len(n.labels)+len(n.ids)+len(n.unrecognized) == 0 {
		return named{}, malformedRevocation("Name what to revoke in revoke_tokens, revoke_tokens_by_usernames, revoke_tokens_by_labels or revoke_tokens_by_ids.")
	}
	return n, nil
}

// texts reads a list of strings.
func texts(raw json.RawMessage) ([]string, bool) {
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
