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

// namespace begins every kind of the RBAC service. Its consumer library compares kinds with it:
// https://github.com/puppetlabs/clj-rbac-client
const namespace = "puppetlabs.rbac/"

// failure is an answer that is not what the client asked for. Details are given only where the vendor's pages have them: a
// published client takes the field for a string and stumbles over any other. It is an error too, so that readers of requests
// can return it.
type failure struct {
	status  int
	kind    string // without namespace
	msg     string
	details any
	bare    bool // the kind is the status library's own and has no namespace
}

func (f *failure) Error() string { return f.msg }

// The failures that are the same for everybody.
var (
	notFound         = &failure{status: http.StatusNotFound, kind: "not-found", msg: "There is nothing at this path."}
	methodNotAllowed = &failure{status: http.StatusMethodNotAllowed, kind: "method-not-allowed", msg: "This path does not answer the method; the Allow header names those it does."}
	tooLarge         = &failure{status: http.StatusRequestEntityTooLarge, kind: "request-too-large", msg: "The body is larger than 64 KiB."}
	unsupportedType  = &failure{status: http.StatusUnsupportedMediaType, kind: "unsupported-type", msg: "The Content-Type of a body must be application/json."}

	badCredentials = &failure{status: http.StatusUnauthorized, kind: "user-unauthenticated", msg: "The login or the password is wrong."}
	noToken        = &failure{status: http.StatusUnauthorized, kind: "user-unauthenticated", msg: "Route requires authentication"}
	userRevoked    = &failure{status: http.StatusUnauthorized, kind: "user-revoked", msg: "The user account has been revoked."}
	tokenInvalid   = &failure{status: http.StatusUnauthorized, kind: "invalid-token", msg: "The provided token is not valid."}
	tokenExpired   = &failure{status: http.StatusUnauthorized, kind: "token-expired", msg: "The provided token has expired."}
	tokenRevoked   = &failure{status: http.StatusUnauthorized, kind: "token-revoked", msg: "Authentication token has been revoked."}

	permissionDenied = &failure{status: http.StatusForbidden, kind: "permission-denied", msg: "You may not see the tokens of this user."}
	noSuchUser       = &failure{status: http.StatusNotFound, kind: "not-found", msg: "There is no user with this id."}
	notAUUID         = &failure{status: http.StatusBadRequest, kind: "invalid-uuid", msg: "The id of a user is a UUID."}
	tooManyLabels    = &failure{status: http.StatusConflict, kind: "conflict", msg: "The user has " + strconv.Itoa(grant.MaximumLabelled) + " live tokens with a label; revoke one of them, or give no label."}
	unavailable      = &failure{status: http.StatusServiceUnavailable, kind: "server-error", msg: "The service cannot answer now; try again."}
)

// reason is one row of the table of this dialect: what the service decided, and what the client learns of it.
type reason struct {
	err    error
	answer *failure
}

// reasons is the table. What is not in it is an inability, not a verdict.
func reasons() []reason {
	return []reason{
		{authn.ErrUnknownLogin, badCredentials},
		{authn.ErrWrongPassword, badCredentials},
		{authn.ErrLocked, badCredentials},
		{authn.ErrPasswordExpired, badCredentials},

		{directory.ErrRevoked, userRevoked},
		{token.ErrInvalid, tokenInvalid},
		{token.ErrExpired, tokenExpired},
		{authn.ErrTokenRevoked, tokenRevoked},
		{directory.ErrTokenVoid, tokenRevoked},
		{authn.ErrUserGone, tokenRevoked},

		{request.ErrTooLarge, tooLarge},
		{grant.ErrTooManyLabels, tooManyLabels},
	}
}

// wire writes answers. The bodies of the failures that are the same for everybody are encoded once.
type wire struct {
	reasons []reason
	bodies  map[*failure][]byte
}

func newWire() *wire {
	w := &wire{reasons: reasons(), bodies: map[*failure][]byte{}}
	for _, r := range w.reasons {
		w.bodies[r.answer] = r.answer.encode()
	}
	for _, f := range []*failure{notFound, methodNotAllowed, noToken, unsupportedType, unavailable} {
		w.bodies[f] = f.encode()
	}
	return w
}

// failureOf returns what a client learns of an error.
func (w *wire) failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	for _, row := range w.reasons {
		if errors.Is(err, row.err) {
			return row.answer
		}
	}
	return unavailable
}

// refuse answers with what the client may know of an error.
func (w *wire) refuse(rw http.ResponseWriter, r *http.Request, err error) {
	f := w.failureOf(err)
	if f.status == http.StatusServiceUnavailable {
		rw.Header().Set("Retry-After", strconv.Itoa(authn.RetryAfter(err)))
	}
	w.write(rw, r, f)
}

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
	body, _ := json.Marshal(struct { // strings, lists of strings and booleans can always be encoded
		Kind    string `json:"kind"`
		Msg     string `json:"msg"`
		Details any    `json:"details,omitempty"`
	}{kind, f.msg, f.details})
	return body
}

// wantsHTML says whether a client accepts HTML and not JSON, as browsers do. A client that says nothing gets JSON.
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

// isZero says whether a quality is 0, which means that the type is not accepted (RFC 9110, 12.4.2).
func isZero(quality string) bool {
	q, err := strconv.ParseFloat(quality, 64)
	return err == nil && q == 0
}
