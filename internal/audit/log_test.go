package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
)

// output collects lines.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// lines returns the lines so far, parsed, and their size in bytes.
func (o *output) lines(t *testing.T) (lines []map[string]any, size int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for text := range strings.Lines(o.text.String()) {
		line := map[string]any{}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, line)
	}
	return lines, o.text.Len()
}

func from(address string) context.Context {
	return audit.WithRequest(context.Background(), audit.Request{ID: "r-1", API: "redis", Source: netip.MustParseAddr(address)})
}

func refusedLogin(login string) audit.Event {
	return audit.Event{Name: audit.Login, Outcome: audit.Refused, Reason: "unknown_login", Login: login}
}

// TestRepeatedRefusalsAreCounted floods the log from one network, while someone else is refused once.
func TestRepeatedRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &output{}
		log := audit.NewLog(slog.New(slog.NewJSONHandler(out, nil)))
		const seconds, perSecond = 17, 1000
		for i := range seconds * perSecond {
			log.Write(from(fmt.Sprintf("203.0.113.%d", i%256)), refusedLogin(fmt.Sprintf("guess-%d", i)))
			if i == 0 {
				if lines, _ := out.lines(t); len(lines) != 1 || lines[0]["login"] != "guess-0" || lines[0]["source"] != "203.0.113.0" {
					t.Fatalf("not at once: %v", lines)
				}
			}
			<-time.After(time.Second / perSecond)
		}
		log.Write(from("198.51.100.7"), refusedLogin("jean"))
		<-time.After(2 * time.Second)
		lines, size := out.lines(t)
		total, single := 0.0, 0
		for _, line := range lines {
			if n, ok := line["repeated"].(float64); ok {
				total += n
				if line["source"] != "203.0.113.0/24" || line["logins"] == nil {
					t.Errorf("%v", line)
				}
				continue
			}
			single++
			total++
		}
		if total != seconds*perSecond+1 || single != 2 || len(lines) > 2*seconds+2 {
			t.Errorf("%v refusals in %d lines, %d of them single", total, len(lines), single)
		}
		t.Logf("%d bytes for each refused request", size/(seconds*perSecond))
		if size/(seconds*perSecond) > 10 {
			t.Errorf("%d bytes for %d refused requests", size, seconds*perSecond)
		}
	})
}

// TestManyNetworksDoNotFillTheLog refuses requests of 5,000 networks within a second.
func TestManyNetworksDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &output{}
		log := audit.NewLog(slog.New(slog.NewJSONHandler(out, nil)))
		const networks = 5000
		for i := range networks {
			log.Write(from(fmt.Sprintf("2001:db8:%x::1", i)), refusedLogin("jean"))
		}
		<-time.After(2 * time.Second)
		lines, _ := out.lines(t)
		last := lines[len(lines)-1]
		if len(lines) > 300 || last["repeated"] == nil || last["source"] != nil {
			t.Errorf("%d lines, the last %v", len(lines), last)
		}
	})
}

func TestAllowedEventsAreNeverCounted(t *testing.T) {
	t.Parallel()
	out := &output{}
	log := audit.NewLog(slog.New(slog.NewJSONHandler(out, nil)))
	for range 100 {
		log.Write(from("192.0.2.1"), audit.Event{Name: audit.Login, Outcome: audit.Allowed, Login: "jean", UID: "1"})
	}
	if lines, _ := out.lines(t); len(lines) != 100 {
		t.Errorf("%d lines, want 100", len(lines))
	}
}

func TestFlushWritesCounts(t *testing.T) {
	t.Parallel()
	out := &output{}
	log := audit.NewLog(slog.New(slog.NewJSONHandler(out, nil)))
	for range 3 {
		log.Write(from("192.0.2.1"), refusedLogin("jean"))
	}
	log.Flush()
	lines, _ := out.lines(t)
	if len(lines) != 2 || lines[1]["repeated"] != 2.0 {
		t.Errorf("%v", lines)
	}
}

func TestActionsNameActorAndTarget(t *testing.T) {
	t.Parallel()
	out, copied := &output{}, &output{}
	log := audit.NewLog(slog.New(slog.NewJSONHandler(out, nil)), slog.New(slog.NewJSONHandler(copied, nil)))
	ctx := from("192.0.2.1")
	write := func(e audit.Event) { log.Write(ctx, audit.Identify(ctx, e)) }
	write(audit.Event{Name: audit.Login, Outcome: audit.Allowed, Login: "root", UID: "1"})
	write(audit.Event{Name: audit.Login, Outcome: audit.Allowed, Login: "jean", UID: "2"})
	write(audit.Event{Name: audit.RevokeUser, Outcome: audit.Allowed, Login: "rosa", UID: "3"})
	lines, _ := out.lines(t)
	for i, want := range []map[string]any{
		{"login": "root", "uid": "1", "actor": nil},
		{"login": "jean", "uid": "2", "actor": "root", "actor_uid": "1"},
		{"target": "rosa", "target_uid": "3", "actor": "root", "actor_uid": "1", "login": nil},
	} {
		for key, value := range want {
			if lines[i][key] != value {
				t.Errorf("line %d has %s %v, want %v", i, key, lines[i][key], value)
			}
		}
	}
	if out.text.String() != copied.text.String() {
		t.Error("the second log differs")
	}
}

func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	out := &output{}
	log := audit.NewLog(slog.New(slog.NewJSONHandler(out, nil)))
	long := strings.Repeat("\u00e9", 50_000)
	log.Write(from("192.0.2.1"), audit.Event{Name: audit.RevokeUser, Outcome: audit.Refused, Login: long, Detail: long})
	lines, size := out.lines(t)
	if size > 11<<10 || strings.ContainsRune(fmt.Sprint(lines[0]["target"]), '\uFFFD') {
		t.Errorf("%d bytes: %v", size, lines)
	}
}
