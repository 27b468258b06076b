// Package audit describes what happens to accounts and tokens, for the log and the metrics. An
// Event never carries a password, a hash or a token; it names a token by its id.
package audit

import (
	"context"
	"log/slog"
	"net/netip"
	"time"
)

// The names of events.
const (
	Login      = "login"       // the service checked a password
	Verify     = "verify"      // the service checked a token
	Issue      = "issue"       // the service issued a token, or returned that of a label again
	Revoke     = "revoke"      // a client revoked one token
	RevokeUser = "revoke-user" // a client revoked all tokens of a user
)

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
	Login   string // as the client typed it
	UID     string
	TokenID string
	Cached  bool // the password was in the password cache, and no hash was computed
}

// Request describes the request that caused an event. The server puts it into the context of every
// request.
type Request struct {
	ID     string
	API    string // a folder under server
	Source netip.Addr
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

// Log returns a Sink that writes each event as one line at level info. Checks of good tokens have
// level debug, because every request to every service brings one.
func Log(logger *slog.Logger) Sink {
	handler := logger.Handler() // not the Logger, which looks up the line of code that called it
	return func(ctx context.Context, e Event) {
		level := slog.LevelInfo
		if e.Name == Verify && e.Outcome == Allowed {
			level = slog.LevelDebug
		}
		if !handler.Enabled(ctx, level) {
			return
		}
		record := slog.NewRecord(time.Now(), level, "audit", 0)
		addAttributes(&record, RequestFrom(ctx), e)
		_ = handler.Handle(ctx, record) // there is nowhere to report that the log cannot be written
	}
}

func addAttributes(record *slog.Record, r *Request, e Event) {
	var out [10]slog.Attr
	n := 0
	add := func(a slog.Attr) { out[n] = a; n++ }
	for _, a := range [...]struct{ key, value string }{
		{"event", e.Name}, {"outcome", e.Outcome}, {"reason", e.Reason}, {"api", r.API}, {"login", e.Login}, {"uid", e.UID},
		{"token_id", e.TokenID}, {"request_id", r.ID},
	} {
		if a.value != "" {
			add(slog.String(a.key, a.value))
		}
	}
	if r.Source.IsValid() {
		add(slog.String("source", r.Source.String()))
	}
	if e.Cached {
		add(slog.Bool("cached", true))
	}
	record.AddAttrs(out[:n]...)
}
