package logging

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestDemote(t *testing.T) {
	t.Parallel()
	routine := func(message string) bool { return strings.HasPrefix(message, "Starting ") }
	for level, want := range map[slog.Level][]string{
		slog.LevelInfo:  {"level=INFO msg=other", "level=ERROR msg=\"Starting failed\""},
		slog.LevelDebug: {"level=DEBUG msg=\"Starting workers\" group.a=1 group.b=2", "level=INFO msg=other", "level=ERROR msg=\"Starting failed\""},
	} {
		var out bytes.Buffer
		log := slog.New(Demote(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}), routine))
		log.WithGroup("group").With("a", 1).Info("Starting workers", "b", 2)
		log.Info("other")
		log.Error("Starting failed")
		if got := strings.Split(strings.TrimSpace(out.String()), "\n"); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("at %s the log is %q, want %q", level, got, want)
		}
	}
}
