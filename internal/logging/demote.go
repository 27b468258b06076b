package logging

import (
	"context"
	"log/slog"
)

// Demote returns a handler that passes records to next, those at level info whose message is routine
// at level debug.
func Demote(next slog.Handler, routine func(message string) bool) slog.Handler {
	return demoter{next, routine}
}

type demoter struct {
	slog.Handler
	routine func(message string) bool
}

// Handle implements slog.Handler.
func (d demoter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelInfo && d.routine(r.Message) {
		r.Level = slog.LevelDebug
		if !d.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return d.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (d demoter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoter{d.Handler.WithAttrs(attrs), d.routine}
}

// WithGroup implements slog.Handler.
func (d demoter) WithGroup(name string) slog.Handler {
	return demoter{d.Handler.WithGroup(name), d.routine}
}
