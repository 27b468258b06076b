package redis

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
)

func TestBusyRetryAfterIsInWholeSeconds(t *testing.T) {
	t.Parallel()
	h := &handler{refusals: newRefusals(), unavailable: newUnavailable()}
	for wait, want := range map[time.Duration]string{1500 * time.Millisecond: "2", 7 * time.Second: "7"} {
		w := httptest.NewRecorder()
		h.refuse(w, &authn.BusyError{RetryAfter: wait})
		if got := w.Header().Get("Retry-After"); w.Code != http.StatusServiceUnavailable || got != want {
			t.Errorf("%s: %d, Retry-After %q", wait, w.Code, got)
		}
	}
}

func TestUnexpectedErrorRevealsNothing(t *testing.T) {
	t.Parallel()
	h := &handler{refusals: newRefusals(), unavailable: newUnavailable()}
	w := httptest.NewRecorder()
	h.refuse(w, errors.New("internal detail"))
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != string(newUnavailable().body)+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func FuzzTTL(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"ttl":60}`, `{"ttl":null}`, `{"ttl":6e1}`, `{"ttl":60.0}`, `{"ttl":-0}`, `{"ttl":"60"}`, `{"ttl":1,"ttl":2}`, `null`,
		`[`, `{"\u0074tl":86400}`, `{"ttl":86401}`, "{\"ttl\":60}\x00", `{"Ttl":0}`, `{"":2e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ttl, err := parseTTL(body)
		if err != nil {
			bad, ok := errors.AsType[badRequest](err)
			if !ok || !utf8.ValidString(bad.Error()) || ttl != 0 {
				t.Fatalf("refused with %s, %v", ttl, err)
			}
			return
		}
		var object map[string]json.RawMessage // other members may be numbers too large for any type
		if err := json.Unmarshal(body, &object); err != nil || object == nil {
			t.Fatalf("accepted, but not a JSON object: %v", err)
		}
		var want float64
		if raw, ok := object["ttl"]; ok {
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatalf("accepted, but %s is not a number: %v", raw, err)
			}
		}
		if ttl != time.Duration(want)*time.Second || ttl < 0 || ttl > maximumTTL*time.Second {
			t.Fatalf("got %s for the ttl %s", ttl, object["ttl"])
		}
	})
}
