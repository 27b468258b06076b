package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// RFC 6749, 5.2, restricts error_description to these characters.
func TestDescriptionsHaveOnlyAllowedCharacters(t *testing.T) {
	t.Parallel()
	for _, row := range append(newRefusals(), newUnavailable()) {
		var body struct {
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal(row.body, &body); err != nil {
			t.Fatal(err)
		}
		for _, c := range body.Description {
			if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				t.Errorf("%q in %q", c, body.Description)
			}
		}
	}
}

func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"grant_type=client_credentials", "a=1&a=2", "a=%zz", "a=%ff", "a;b", "&&&", "=", "a=+%20", "client_id=x&client_secret=", "%61=1&a=2", "resource=a&resource=b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		parsed, err := parseForm(body)
		if err != nil {
			if _, ok := errors.AsType[invalidRequest](err); !ok {
				t.Fatalf("got %T, want invalidRequest", err)
			}
			return
		}
		values := url.Values{}
		for name, list := range parsed {
			if len(list) > 1 && name != "resource" && name != "audience" {
				t.Fatalf("%q has %d values", name, len(list))
			}
			for _, value := range list {
				if !utf8.ValidString(name) || !utf8.ValidString(value) {
					t.Fatalf("%q=%q", name, value)
				}
				values.Add(name, value)
			}
		}
		reparsed, err := parseForm(values.Encode())
		if err != nil || len(reparsed) != len(parsed) {
			t.Fatalf("%v reads back as %v, %v", parsed, reparsed, err)
		}
	})
}

func FuzzFormDecoded(f *testing.F) {
	for _, seed := range []string{"alice", "a%20b", "a+b", "100%sure", "%ff", "é", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := formDecoded(url.QueryEscape(text)); utf8.ValidString(text) && got != text {
			t.Fatalf("%q comes back as %q", text, got)
		}
	})
}
