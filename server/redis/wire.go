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
	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// maximumTTL is the largest ttl in seconds that a client may ask for.
// https://redis.io/docs/latest/operate/rs/references/rest-api/objects/jwt_authorize/
const maximumTTL = 86400

// challenge goes with every 401 (RFC 7617).
const challenge = `Basic realm="gatehouse", charset="UTF-8"`

// The reasons of this door's own.
var (
	errNoCredentials    = errors.New("no credentials that can be read")
	errNotFound         = errors.New("no such path")
	errMethodNotAllowed = errors.New("no such method")
)

// badRequest is what is wrong with a request, in words for the client.
type badRequest string

func (b badRequest) Error() string { return string(b) }

// accessToken is the answer of both routes.
type accessToken struct {
	AccessToken string `json:"access_token"`
}

// refusal is the answer to one reason. Its body is encoded once.
type refusal struct {
	reason error
	status int
	body   []byte
}

// newRefusals is the table of this dialect: what the service decided, and what the client learns of it.
func newRefusals() []refusal {
	unauthorized := errorBody("unauthorized", "the credentials are missing or not valid")
	return []refusal{
		{errNoCredentials, http.StatusUnauthorized, unauthorized},
		{authn.ErrUnknownLogin, http.StatusUnauthorized, unauthorized},
		{authn.ErrWrongPassword, http.StatusUnauthorized, unauthorized},
		{authn.ErrLocked, http.StatusUnauthorized, unauthorized},
		{directory.ErrRevoked, http.StatusUnauthorized, unauthorized},
		{directory.ErrExpired, http.StatusUnauthorized, unauthorized},
		{authn.ErrPasswordExpired, http.StatusUnauthorized,
			errorBody("password_expired", "the password has expired and must be changed")},

		{token.ErrInvalid, http.StatusUnauthorized, unauthorized},
		{token.ErrExpired, http.StatusUnauthorized, unauthorized},
		{authn.ErrTokenRevoked, http.StatusUnauthorized, unauthorized},
		{directory.ErrTokenVoid, http.StatusUnauthorized, unauthorized},
		{authn.ErrUserGone, http.StatusUnauthorized, unauthorized},

		{errNotFound, http.StatusNotFound, errorBody("not_found", "there is nothing at this path")},
		{errMethodNotAllowed, http.StatusMethodNotAllowed,
			errorBody("method_not_allowed", "this path does not answer the method; the Allow header names those it does")},
		{request.ErrTooLarge, http.StatusRequestEntityTooLarge, errorBody("request_too_large", request.ErrTooLarge.Error())},
	}
}

// newUnavailable is the answer to every reason that is not in the table: it is an inability, not a verdict.
func newUnavailable() refusal {
	return refusal{nil, http.StatusServiceUnavailable, errorBody("unavailable", "the service cannot answer now; try again")}
}

// errorBody encodes an error. The vendor's request pages name the text message, its OpenAPI file description; clients look
// for either.
func errorBody(code, text string) []byte {
	body, _ := json.Marshal(struct { // strings can always be encoded
		Code        string `json:"error_code"`
		Message     string `json:"message"`
		Description string `json:"description"`
	}{code, text, text})
	return body
}

// refuse answers with what the client may know of an error.
func (h *handler) refuse(w http.ResponseWriter, err error) {
	if bad, ok := errors.AsType[badRequest](err); ok {
		api.Write(w, http.StatusBadRequest, "application/json", errorBody("bad_request", bad.Error()))
		return
	}
	row := h.unavailable
	if i := slices.IndexFunc(h.refusals, func(known refusal) bool { return errors.Is(err, known.reason) }); i >= 0 {
		row = h.refusals[i]
	}
	switch row.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(authn.RetryAfter(err)))
	}
	api.Write(w, row.status, "application/json", row.body)
}

// readTTL reads the body of both routes: nothing, or a JSON object that may have a ttl. Other keys are ignored; username and
// password stood there before version 7.8.2 of the API. No ttl is 0. The error is a badRequest or request.ErrTooLarge.
func readTTL(r *http.Request) (time.Duration, error) {
	body, err := request.Body(r)
	switch {
	case errors.Is(err, request.ErrTooLarge):
		return 0, err
	case err != nil:
		return 0, badRequest("the body ended early or came too slowly")
	case len(body) == 0:
		return 0, nil
	case !request.IsJSON(r):
		return 0, badRequest("the Content-Type of a body must be application/json")
	}
	return parseTTL(body)
}

func parseTTL(body []byte) (time.Duration, error) {
	object, err := strictjson.ParseObject(body)
	if err != nil {
		return 0, badRequest("the body must be one JSON object: " + err.Error())
	}
	value, given := object["ttl"]
	if !given || strictjson.IsNull(value) {
		return 0, nil
	}
	// Only digits pass: ParseUint takes no sign, fraction or exponent, and JSON no leading zero.
	seconds, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil || seconds < 1 || seconds > maximumTTL {
		return 0, badRequest("ttl must be a whole number of seconds from 1 to " + strconv.Itoa(maximumTTL) + ", in digits")
	}
	return time.Duration(seconds) * time.Second, nil
}
