package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// The challenges of RFC 7617 and RFC 6750.
const (
	basicChallenge  = `Basic realm="gatehouse", charset="UTF-8"`
	bearerChallenge = `Bearer realm="gatehouse", error="invalid_token"` //nolint:gosec // not a credential
)

// The refusals. Their texts are sent to clients and tell them nothing more, in particular not
// whether a login exists.
var (
	errInvalidClient    = errors.New("missing or invalid client credentials")
	errInvalidToken     = errors.New("invalid token in the Authorization header")
	errInvalidGrant     = errors.New("invalid username or password")
	errInvalidSubject   = errors.New("invalid subject_token")
	errUnsupportedGrant = errors.New("grant_type must be " + grantClientCredentials + ", " + grantPassword + " or " + grantTokenExchange)
)

// invalidRequest says what is wrong with a request. Its text is sent to the client and repeats
// nothing of the request.
type invalidRequest string

func (i invalidRequest) Error() string { return string(i) }

// refusal is the response to one reason. Its body is encoded once.
type refusal struct {
	reason    error
	status    int
	challenge string
	body      []byte
}

// newRefusals returns the table of refusals of this API (RFC 6749, 5.2, and RFC 6750, 3.1).
func newRefusals() []refusal {
	row := func(reason error, status int, code, challenge string) refusal {
		return refusal{reason, status, challenge, errorBody(code, reason.Error())}
	}
	return []refusal{
		row(errInvalidClient, http.StatusUnauthorized, "invalid_client", basicChallenge),
		row(errInvalidToken, http.StatusUnauthorized, "invalid_token", bearerChallenge),
		row(errInvalidGrant, http.StatusBadRequest, "invalid_grant", ""),
		row(errInvalidSubject, http.StatusBadRequest, "invalid_request", ""), // RFC 8693, 2.2.2
		row(grant.ErrAudience, http.StatusBadRequest, "invalid_target", ""),  // RFC 8707, 2, and RFC 8693, 2.2.2
		row(errUnsupportedGrant, http.StatusBadRequest, "unsupported_grant_type", ""),
		row(grant.ErrTooManyRequests, http.StatusTooManyRequests, "temporarily_unavailable", ""),
		row(grant.ErrTooManyRecords, http.StatusConflict, "access_denied", ""),
		row(request.ErrTooLarge, http.StatusRequestEntityTooLarge, "invalid_request", ""),
	}
}

// newUnavailable returns the response to every error that is not in the table: the service could
// not reach a verdict.
func newUnavailable() refusal {
	body := errorBody("temporarily_unavailable", "service temporarily unavailable; try again later")
	return refusal{status: http.StatusServiceUnavailable, body: body}
}

func errorBody(code, text string) []byte {
	body, _ := json.Marshal(struct { // encoding strings cannot fail
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}{code, text})
	return body
}

// refuse writes the response that tells the client what it may know about err.
func (h *handler) refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Pragma", "no-cache")
	if invalid, ok := errors.AsType[invalidRequest](err); ok {
		api.Write(w, http.StatusBadRequest, "application/json", errorBody("invalid_request", invalid.Error()))
		return
	}
	row := h.unavailable
	if i := slices.IndexFunc(h.refusals, func(candidate refusal) bool { return errors.Is(err, candidate.reason) }); i >= 0 {
		row = h.refusals[i]
	}
	if row.challenge != "" {
		w.Header().Set("WWW-Authenticate", row.challenge)
	}
	if row.status == http.StatusServiceUnavailable || row.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(grant.RetryAfter(err)))
	}
	api.Write(w, row.status, "application/json", row.body)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	api.WriteJSON(w, http.StatusNotFound, map[string]string{"error": "not found"})
}

func methodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	text := "method not allowed; see the Allow header"
	api.WriteJSON(w, http.StatusMethodNotAllowed, map[string]string{"error": text})
}
