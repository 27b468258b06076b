package audit

import (
	"context"
	"log/slog"
	"net/netip"
	"time"
	"unicode/utf8"
)

// The longest texts, in bytes, that a line takes from a request or from a panic.
const (
	maximumName   = 1 << 10
	maximumDetail = 8 << 10
)

// Log writes events to loggers, each event as one line at level info. Checks of good tokens have
// level debug, because every request to every service brings one, and panics have level error. Log
// writes the first refusal of a source at once, and then one line a second that counts its further
// refusals of the same kind, so that whoever is refused cannot push older lines out of the log. Create
// it with NewLog, and call Flush before the process ends. It is safe for concurrent use.
type Log struct {
	handlers []slog.Handler // not Loggers, which look up the line of code that called them
	refusals refusals
}

// NewLog returns a Log that writes to all of these loggers.
func NewLog(loggers ...*slog.Logger) *Log {
	l := &Log{}
	for _, logger := range loggers {
		l.handlers = append(l.handlers, logger.Handler())
	}
	l.refusals.write = l.writeRefusals
	return l
}

// Write is a Sink.
func (l *Log) Write(ctx context.Context, e Event) {
	r := RequestFrom(ctx)
	if e.Outcome != Allowed && l.refusals.counted(r, &e) {
		return
	}
	if level := eventLevel(&e); l.enabled(ctx, level) {
		var out attributes
		out.addEvent(r, &e)
		l.handle(ctx, level, &out)
	}
}

// Flush writes the refusals that are counted and not written yet.
func (l *Log) Flush() { l.refusals.flush() }

func eventLevel(e *Event) slog.Level {
	switch {
	case e.Name == Panic:
		return slog.LevelError
	case e.Name == Verify && e.Outcome == Allowed:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// enabled reports whether any logger takes lines of a level.
func (l *Log) enabled(ctx context.Context, level slog.Level) bool {
	for _, handler := range l.handlers {
		if handler.Enabled(ctx, level) {
			return true
		}
	}
	return false
}

// handle writes one line to every logger that takes its level.
func (l *Log) handle(ctx context.Context, level slog.Level, attributes *attributes) {
	record := slog.NewRecord(time.Now(), level, "audit", 0)
	record.AddAttrs(attributes.list[:attributes.n]...)
	for _, handler := range l.handlers {
		if handler.Enabled(ctx, level) {
			_ = handler.Handle(ctx, record) // the writer below reports that the log cannot be written
		}
	}
}

// attributes collects the attributes of a line without allocating for each.
type attributes struct {
	list [17]slog.Attr
	n    int
}

func (a *attributes) add(attr slog.Attr) { a.list[a.n] = attr; a.n++ }

// text adds an attribute unless it is empty.
func (a *attributes) text(key, value string) {
	if value != "" {
		a.add(slog.String(key, clip(value, maximumName)))
	}
}

// addEvent adds what a line says of an event.
func (a *attributes) addEvent(r *Request, e *Event) {
	a.text("event", e.Name)
	a.text("outcome", e.Outcome)
	a.text("reason", e.Reason)
	a.text("api", r.API)
	a.addAccounts(e)
	a.text("token_id", e.TokenID)
	a.text("credential", e.Credential)
	a.text("issuer", e.Issuer)
	a.text("subject", e.Subject)
	a.text("request_id", r.ID)
	if r.Source.IsValid() {
		a.add(slog.String("source", r.Source.String()))
	}
	if e.Cached {
		a.add(slog.Bool("cached", true))
	}
	if e.Detail != "" {
		a.add(slog.String("detail", clip(e.Detail, maximumDetail)))
	}
}

// addAccounts adds whom the event is about: the login of a credential, or else the target of an
// action. It adds the actor unless it is the user of that very credential.
func (a *attributes) addAccounts(e *Event) {
	login, uid := "target", "target_uid"
	isCredential := e.Name == Login || e.Name == Verify
	if isCredential {
		login, uid = "login", "uid"
	}
	a.text(login, e.Login)
	a.text(uid, e.UID)
	if !isCredential || e.Actor.UID != e.UID {
		a.text("actor", e.Actor.Login)
		a.text("actor_uid", e.Actor.UID)
	}
}

// writeRefusals writes one line for the refusals of one kind in one interval.
func (l *Log) writeRefusals(kind refusalKind, n uint64, logins []string) {
	var out attributes
	out.text("event", kind.event)
	out.text("outcome", kind.outcome)
	out.text("reason", kind.reason)
	out.text("api", kind.api)
	out.text("actor", kind.actor.Login)
	out.text("actor_uid", kind.actor.UID)
	if kind.network != (netip.Prefix{}) {
		out.add(slog.String("source", kind.network.String()))
	}
	out.add(slog.Uint64("repeated", n))
	if len(logins) > 0 {
		out.add(slog.Any("logins", logins))
	}
	l.handle(context.Background(), slog.LevelInfo, &out)
}

// clip returns text, or its beginning if it is longer than a number of bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "..."
}
