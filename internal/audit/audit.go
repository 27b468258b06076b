// Package audit describes what happened to accounts and tokens, for the log and the metrics. An Event never carries a
// password, a hash or a token; a token is named by its id.
package audit

import (
	"context"
	"log/slog"
	"net/netip"
	"time"
)

// The acts that are audited.
const (
	Login      = "login"       // a password was checked
	Verify     = "verify"      // a token was checked
	Issue      = "issue"       // a token was made, or a labelled one handed out again
	Revoke     = "revoke"      // one token was revoked
	RevokeUser = "revoke-user" // all tokens of a user were revoked
)

// The outcomes of an act.
const (
	Allowed = "allowed"
	Refused = "refused"
	Failed  = "failed" // it could not be decided or done
)

// Event is one act. Empty fields are left out of the log.
type Event struct {
	Name    string
	Outcome string
	Reason  string // why it was refused or failed
	Login   string // as the client typed it
	UID     string
	TokenID string
	Cached  bool // the password was known from before, and no hash was computed
}

// Request says where an act came from. The server puts it into the context of every request.
type Request struct {
	ID     string
	API    string
	Source netip.Addr
}

type requestKey struct{}

// requestContext carries a Request. It is a type of its own because every request has one: a value in a plain context would
// be another allocation.
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

// RequestFrom returns what WithRequest put into a context, or an empty Request. It must not be changed.
func RequestFrom(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// Sink takes events. It must not block and must be safe for concurrent use.
type Sink func(ctx context.Context, e Event)

// Log returns a Sink that writes each event as one line. Checks of good tokens, which come with every request of every
// service, are at debug level.
func Log(logger *slog.Logger) Sink {
	handler := logger.Handler() // without the Logger, which looks for the line of code that called it
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
		_ = handler.Handle(ctx, record) // there is nowhere to say that the log cannot be written
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
