// Package audit describes what happens to accounts and tokens, for the log and the metrics. An
// Event never carries a password, a hash or a token; it names a token by its id.
package audit

import (
	"context"
	"net/netip"
)

// The names of events.
const (
	Login      = "login"       // the service checked a password, or an assertion of another issuer
	Verify     = "verify"      // the service checked a token
	Issue      = "issue"       // the service issued a token, or returned that of a label again
	Revoke     = "revoke"      // a client revoked one token
	RevokeUser = "revoke-user" // a client revoked all tokens of a user
	List       = "list"        // a client asked for the list of another user's tokens
	Panic      = "panic"       // the service failed while it handled a request
)

// Identity is the Credential of a login with an assertion of another issuer.
const Identity = "identity"

// The outcomes of an event.
const (
	Allowed = "allowed"
	Refused = "refused"
	Failed  = "failed" // the service could not decide, or could not do what was asked
)

// Event is one thing that happened. The log leaves out empty fields.
type Event struct {
	Name    string // one of the names above
	Outcome string // Allowed, Refused or Failed
	Reason  string // why the outcome is Refused or Failed, in one word
	Login   string // of the user whom the event is about, as the client typed it
	UID     string
	TokenID string
	// Credential is Identity after a login with an assertion, and empty after one with a password.
	// Issuer is then that of the assertion if the service trusts it, and Subject is who the issuer
	// says the client is, once the signature is verified.
	Credential, Issuer, Subject string
	Cached                      bool   // the password was in the password cache, and no hash was computed
	Detail                      string // more than fits into Reason, as the stack of a panic

	Actor Account // who caused the event; Identify sets it
}

// Account names a user. It is empty while the service does not know who sent a request.
type Account struct{ Login, UID string }

// Request describes the request that caused an event. The server puts it into the context of every
// request.
type Request struct {
	ID     string
	API    string // a folder under server
	Source netip.Addr

	actor Account // the user of the first credential of the request that was good
}

type requestKey struct{}

// requestContext carries a Request. It is a type of its own because every request has one and
// context.WithValue would cost another allocation.
type requestContext struct {
	context.Context
	request Request
}

func (c *requestContext) Value(key any) any {
	if _, ok := key.(requestKey); ok {
		return &c.request
	}
	return c.Context.Value(key)
}

// WithRequest returns a context that carries r.
func WithRequest(ctx context.Context, r Request) context.Context { return &requestContext{ctx, r} }

// RequestFrom returns the Request that WithRequest put into a context, or an empty one. Callers
// must not change it.
func RequestFrom(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// Sink receives events. It must not block and must be safe for concurrent use.
type Sink func(ctx context.Context, e Event)

// Identify returns e with its actor: the user of the first good credential of the request. A request
// may bring a second one, as a token to be revoked, which is what the event is about. Only the
// goroutine that handles the request may call Identify.
func Identify(ctx context.Context, e Event) Event {
	r := RequestFrom(ctx)
	if r.actor.UID == "" && e.Outcome == Allowed && (e.Name == Login || e.Name == Verify) {
		r.actor = Account{Login: e.Login, UID: e.UID}
	}
	e.Actor = r.actor
	return e
}
