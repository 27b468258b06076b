package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// The challenges of RFC 7617 and RFC 6750.
const (
	basicChallenge  = `Basic realm="gatehouse", charset="UTF-8"`
	bearerChallenge = `Bearer realm="gatehouse", error="invalid_token"` //nolint:gosec // no credential
)

// What clients learn of a refusal, and no more.
var (
	errInvalidClient    = errors.New("the client did not say who it is, is unknown, or its secret is wrong")
	errInvalidToken     = errors.New("the token in the Authorization header is not valid")
	errInvalidGrant     = errors.New("the user is unknown or the password is wrong")
	errUnsupportedGrant = errors.New("grant_type must be " + grantClientCredentials + " or " + grantPassword)
)

// invalidRequest is what is wrong with a request, in words for the client. It repeats nothing of the request.
type invalidRequest string

func (i invalidRequest) Error() string { return string(i) }

// refusal is the answer to one reason. Its body is encoded once.
type refusal struct {
	reason    error
	status    int
	challenge string
	body      []byte
}

// newRefusals is the table of this dialect (RFC 6749, 5.2, and RFC 6750, 3.1).
func newRefusals() []refusal {
	row := func(reason error, status int, code, challenge string) refusal {
		return refusal{reason, status, challenge, errorBody(code, reason.Error())}
	}
	return []refusal{
		row(errInvalidClient, http.StatusUnauthorized, "invalid_client", basicChallenge),
		row(errInvalidToken, http.StatusUnauthorized, "invalid_token", bearerChallenge),
		row(errInvalidGrant, http.StatusBadRequest, "invalid_grant", ""),
		row(errUnsupportedGrant, http.StatusBadRequest, "unsupported_grant_type", ""),
		row(request.ErrTooLarge, http.StatusRequestEntityTooLarge, "invalid_request", ""),
	}
}

// newUnavailable is the answer to every reason that is not in the table: it is an inability, not a verdict.
func newUnavailable() refusal {
	body := errorBody("temporarily_unavailable", "the service cannot answer now; try again")
	return refusal{status: http.StatusServiceUnavailable, body: body}
}

func errorBody(code, text string) []byte {
	body, _ := json.Marshal(struct { // strings can always be encoded
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}{code, text})
	return body
}

// refuse answers with what the client may know of an error.
func (h *handler) refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Pragma", "no-cache")
	if invalid, ok := errors.AsType[invalidRequest](err); ok {
		api.Write(w, http.StatusBadRequest, "application/json", errorBody("invalid_request", invalid.Error()))
		return
	}
	row := h.unavailable
	if i := slices.IndexFunc(h.refusals, func(known refusal) bool { return errors.Is(err, known.reason) }); i >= 0 {
		row = h.refusals[i]
	}
	if row.challenge != "" {
		w.Header().Set("WWW-Authenticate", row.challenge)
	}
	if row.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(authn.RetryAfter(err)))
	}
	api.Write(w, row.status, "application/json", row.body)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	api.WriteJSON(w, http.StatusNotFound, map[string]string{"error": "there is nothing at this path"})
}

func methodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	text := "this path does not answer the method; the Allow header names those it does"
	api.WriteJSON(w, http.StatusMethodNotAllowed, map[string]string{"error": text})
}
