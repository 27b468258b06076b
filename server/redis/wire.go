package redis

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// maximumTTL is the largest ttl, in seconds, that a client may request.
// https://redis.io/docs/latest/operate/rs/references/rest-api/objects/jwt_authorize/
const maximumTTL = 86400

// challenge is sent with every 401 (RFC 7617).
const challenge = `Basic realm="gatehouse", charset="UTF-8"`

// The reasons for refusal that only this API has.
var (
	errNoCredentials    = errors.New("missing or unreadable credentials")
	errNotFound         = errors.New("unknown path")
	errMethodNotAllowed = errors.New("method not allowed")
)

// badRequest says what is wrong with a request. Its text is sent to the client.
type badRequest string

func (b badRequest) Error() string { return string(b) }

// accessToken is the successful response of both routes.
type accessToken struct {
	AccessToken string `json:"access_token"`
}

// refusal is the response to one reason. Its body is encoded once.
type refusal struct {
	reason error
	status int
	body   []byte
}

// newRefusals returns the table of refusals of this API. It maps what the service decided to what
// the client may learn about it: all reasons with one body look the same to clients.
func newRefusals() []refusal {
	unauthorized := errorBody("unauthorized", "missing or invalid credentials")
	return []refusal{
		{errNoCredentials, http.StatusUnauthorized, unauthorized},
		{authn.ErrUnknownLogin, http.StatusUnauthorized, unauthorized},
		{authn.ErrWrongPassword, http.StatusUnauthorized, unauthorized},
		{authn.ErrLocked, http.StatusUnauthorized, unauthorized},
		{directory.ErrRevoked, http.StatusUnauthorized, unauthorized},
		{directory.ErrExpired, http.StatusUnauthorized, unauthorized},
		{authn.ErrPasswordExpired, http.StatusUnauthorized,
			errorBody("password_expired", "password has expired and must be changed")},

		{authn.ErrNoPassword, http.StatusUnauthorized, unauthorized},
		{token.ErrInvalid, http.StatusUnauthorized, unauthorized},
		{token.ErrExpired, http.StatusUnauthorized, unauthorized},
		{authn.ErrTokenRevoked, http.StatusUnauthorized, unauthorized},
		{directory.ErrTokenVoid, http.StatusUnauthorized, unauthorized},
		{authn.ErrUserGone, http.StatusUnauthorized, unauthorized},

		{grant.ErrTooManyRequests, http.StatusTooManyRequests, errorBody("too_many_requests", grant.ErrTooManyRequests.Error())},
		{grant.ErrTooManyRecords, http.StatusConflict, errorBody("too_many_records", grant.ErrTooManyRecords.Error())},

		{errNotFound, http.StatusNotFound, errorBody("not_found", "not found")},
		{errMethodNotAllowed, http.StatusMethodNotAllowed,
			errorBody("method_not_allowed", "method not allowed; see the Allow header")},
		{request.ErrTooLarge, http.StatusRequestEntityTooLarge, errorBody("request_too_large", request.ErrTooLarge.Error())},
	}
}

// newUnavailable returns the response to every error that is not in the table: the service could
// not reach a verdict.
func newUnavailable() refusal {
	return refusal{nil, http.StatusServiceUnavailable, errorBody("unavailable", "service temporarily unavailable; try again later")}
}

// errorBody encodes an error. The vendor's request pages call the text message, and its OpenAPI
// file calls it description. Clients look for either.
func errorBody(code, text string) []byte {
	body, _ := json.Marshal(struct { // encoding strings cannot fail
		Code        string `json:"error_code"`
		Message     string `json:"message"`
		Description string `json:"description"`
	}{code, text, text})
	return body
}

// refuse writes the response that tells the client what it may know about err.
func (h *handler) refuse(w http.ResponseWriter, err error) {
	if bad, ok := errors.AsType[badRequest](err); ok {
		api.Write(w, http.StatusBadRequest, "application/json", errorBody("bad_request", bad.Error()))
		return
	}
	row := h.unavailable
	if i := slices.IndexFunc(h.refusals, func(candidate refusal) bool { return errors.Is(err, candidate.reason) }); i >= 0 {
		row = h.refusals[i]
	}
	switch row.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(grant.RetryAfter(err)))
	}
	api.Write(w, row.status, "application/json", row.body)
}

// readTTL reads the body of both routes, which is empty or a JSON object that may have a ttl in
// seconds. It ignores other keys: before version 7.8.2 of the API, username and password were in
// the body. Without a ttl it returns 0. The error is a badRequest or request.ErrTooLarge.
func readTTL(r *http.Request) (time.Duration, error) {
	body, err := request.Body(r)
	switch {
	case errors.Is(err, request.ErrTooLarge):
		return 0, err
	case err != nil:
		return 0, badRequest("request body ended early or arrived too slowly")
	case len(body) == 0:
		return 0, nil
	case !request.IsJSON(r):
		return 0, badRequest("Content-Type must be application/json")
	}
	return parseTTL(body)
}

func parseTTL(body []byte) (time.Duration, error) {
	object, err := strictjson.ParseObject(body)
	if err != nil {
		return 0, badRequest("invalid request body: " + err.Error())
	}
	value, ok := object["ttl"]
	if !ok || strictjson.IsNull(value) {
		return 0, nil
	}
	// Only digits pass: ParseUint accepts no sign, fraction or exponent, and JSON no leading zero.
	seconds, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil || seconds < 1 || seconds > maximumTTL {
		return 0, badRequest("ttl must be a whole number of seconds from 1 to " + strconv.Itoa(maximumTTL) + ", in digits only")
	}
	return time.Duration(seconds) * time.Second, nil
}
