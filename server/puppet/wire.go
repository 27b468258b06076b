package puppet

import (
	"encoding/json"
	"errors"
	"html"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// namespace is the prefix of every error kind of the RBAC service. Its consumer library compares
// kinds including the prefix:
// https://github.com/puppetlabs/clj-rbac-client
const namespace = "puppetlabs.rbac/"

// failure is an error response. It has details only where the vendor's pages show them, because a
// published client expects the field to be a string and fails on anything else. It implements
// error, so that functions that parse requests can return it.
type failure struct {
	status  int
	kind    string // without the namespace
	msg     string
	details any
	bare    bool // the kind has no namespace, because it comes from the status library
}

func (f *failure) Error() string { return f.msg }

// The failures that do not depend on the request.
var (
	notFound         = &failure{status: http.StatusNotFound, kind: "not-found", msg: "Not found."}
	methodNotAllowed = &failure{status: http.StatusMethodNotAllowed, kind: "method-not-allowed", msg: "Method not allowed; see the Allow header."}
	tooLarge         = &failure{status: http.StatusRequestEntityTooLarge, kind: "request-too-large", msg: "The request body is larger than 64 KiB."}
	unsupportedType  = &failure{status: http.StatusUnsupportedMediaType, kind: "unsupported-type", msg: "The Content-Type must be application/json."}

	badCredentials = &failure{status: http.StatusUnauthorized, kind: "user-unauthenticated", msg: "Invalid login or password."}
	noToken        = &failure{status: http.StatusUnauthorized, kind: "user-unauthenticated", msg: "Route requires authentication"}
	userRevoked    = &failure{status: http.StatusUnauthorized, kind: "user-revoked", msg: "The user account has been revoked."}
	tokenInvalid   = &failure{status: http.StatusUnauthorized, kind: "invalid-token", msg: "The provided token is not valid."}
	tokenExpired   = &failure{status: http.StatusUnauthorized, kind: "token-expired", msg: "The provided token has expired."}
	tokenRevoked   = &failure{status: http.StatusUnauthorized, kind: "token-revoked", msg: "Authentication token has been revoked."}

	permissionDenied = &failure{status: http.StatusForbidden, kind: "permission-denied", msg: "You do not have permission to list the tokens of this user."}
	noSuchUser       = &failure{status: http.StatusNotFound, kind: "not-found", msg: "No user with this ID exists."}
	invalidUUID      = &failure{status: http.StatusBadRequest, kind: "invalid-uuid", msg: "The user ID must be a UUID."}
	tooManyRecords   = &failure{status: http.StatusConflict, kind: "conflict", msg: "The user already has " + strconv.Itoa(grant.MaximumRecords) + " recorded tokens, revoked ones included. Request a token without a label for at most 24 hours, or wait until recorded tokens expire."}
	tooManyRequests  = &failure{status: http.StatusTooManyRequests, kind: "too-many-requests", msg: "The user changes tokens too often. Try again later."}
	tooManyLabels    = &failure{status: http.StatusConflict, kind: "conflict", msg: "The user already has " + strconv.Itoa(grant.MaximumLabelled) + " active labelled tokens. Revoke one of them, or omit the label."}
	labelTaken       = &failure{status: http.StatusConflict, kind: "conflict", msg: "The token with this label lives longer than your token allows. Log in with the password to get it."}
	unavailable      = &failure{status: http.StatusServiceUnavailable, kind: "server-error", msg: "The service is temporarily unavailable. Try again later."}
)

// reason maps what the service decided to what the client learns about it.
type reason struct {
	err     error
	failure *failure
}

// reasons returns the table of refusals. For any other error the service could not reach a verdict.
func reasons() []reason {
	return []reason{
		{authn.ErrUnknownLogin, badCredentials},
		{authn.ErrWrongPassword, badCredentials},
		{authn.ErrLocked, badCredentials},
		{authn.ErrPasswordExpired, badCredentials},
		{authn.ErrNoPassword, badCredentials},

		{directory.ErrRevoked, userRevoked},
		{token.ErrInvalid, tokenInvalid},
		{token.ErrExpired, tokenExpired},
		{authn.ErrTokenRevoked, tokenRevoked},
		{directory.ErrTokenVoid, tokenRevoked},
		{authn.ErrUserGone, tokenRevoked},

		{request.ErrTooLarge, tooLarge},
		{grant.ErrTooManyRecords, tooManyRecords},
		{grant.ErrTooManyRequests, tooManyRequests},
		{grant.ErrTooManyLabels, tooManyLabels},
		{grant.ErrLabelTaken, labelTaken},
	}
}

// wire writes responses. It encodes the bodies of failures that do not depend on the request once.
type wire struct {
	reasons []reason
	bodies  map[*failure][]byte
}

func newWire() *wire {
	w := &wire{reasons: reasons(), bodies: map[*failure][]byte{}}
	for _, r := range w.reasons {
		w.bodies[r.failure] = r.failure.encode()
	}
	for _, f := range []*failure{notFound, methodNotAllowed, noToken, unsupportedType, unavailable} {
		w.bodies[f] = f.encode()
	}
	return w
}

// failureOf returns what a client learns about err.
func (w *wire) failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	for _, row := range w.reasons {
		if errors.Is(err, row.err) {
			return row.failure
		}
	}
	return unavailable
}

// refuse writes the response that tells the client what it may know about err.
func (w *wire) refuse(rw http.ResponseWriter, r *http.Request, err error) {
	f := w.failureOf(err)
	if f.status == http.StatusServiceUnavailable || f.status == http.StatusTooManyRequests {
		rw.Header().Set("Retry-After", strconv.Itoa(grant.RetryAfter(err)))
	}
	w.write(rw, r, f)
}

// write writes f as HTML if the client wants that, and as JSON otherwise.
func (w *wire) write(rw http.ResponseWriter, r *http.Request, f *failure) {
	if wantsHTML(r.Header.Values("Accept")) {
		api.Write(rw, f.status, "text/html; charset=utf-8", []byte(html.EscapeString(f.msg)))
		return
	}
	body := w.bodies[f]
	if body == nil {
		body = f.encode()
	}
	api.Write(rw, f.status, "application/json", body)
}

func (f *failure) encode() []byte {
	kind := namespace + f.kind
	if f.bare {
		kind = f.kind
	}
	body, _ := json.Marshal(struct { // encoding strings, lists of strings and booleans cannot fail
		Kind    string `json:"kind"`
		Msg     string `json:"msg"`
		Details any    `json:"details,omitempty"`
	}{kind, f.msg, f.details})
	return body
}

// wantsHTML reports whether a client accepts HTML but not JSON, as browsers do. A client without an
// Accept header gets JSON.
func wantsHTML(accept []string) bool {
	takesHTML := false
	for entry := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		mediaType, parameters, err := mime.ParseMediaType(entry)
		if err != nil || isZero(parameters["q"]) {
			continue
		}
		switch mediaType {
		case "application/json", "application/*", "*/*":
			return false
		case "text/html", "text/*":
			takesHTML = true
		}
	}
	return takesHTML
}

// isZero reports whether a quality value is 0, which means that the type is not acceptable (RFC
// 9110, 12.4.2).
func isZero(quality string) bool {
	q, err := strconv.ParseFloat(quality, 64)
	return err == nil && q == 0
}
