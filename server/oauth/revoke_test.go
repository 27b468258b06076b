package oauth_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

func TestHolderOfATokenMayRevokeIt(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, opaque := issue(t, s, "alice")
	other, _ := issue(t, s, "alice")
	for text, caller := range map[string]string{signed: basic("bob", "bob-secret"), opaque: "Authorization: Bearer " + opaque} {
		a := s.post(t, revokePath, []string{caller}, "token", text, "token_type_hint", "whatever")
		if a.Status != http.StatusOK || a.Body != "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got\n%s", a)
		}
		if _, err := s.Tokens.Authenticate(t.Context(), text); !errors.Is(err, authn.ErrTokenRevoked) {
			t.Errorf("after its revocation: %v", err)
		}
	}
	if _, err := s.Tokens.Authenticate(t.Context(), other); err != nil {
		t.Errorf("another token of the same user: %v", err)
	}
}

func TestRevocationIsIdempotentAndIgnoresGarbage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, _ := issue(t, s, "alice")
	for _, text := range []string{signed, signed, "garbage", signed + "A"} {
		if a := s.post(t, revokePath, []string{basic("bob", "bob-secret")}, "token", text); a.Status != http.StatusOK {
			t.Errorf("got\n%s", a)
		}
	}
	if got := len(s.Directory.RecordsOf(user(t, s, "alice").UID)); got != 1 {
		t.Errorf("got %d records, want 1", got)
	}
}

func TestUnrecordedRevocationIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, _ := issue(t, s, "alice")
	s.Records.Fail(true)
	a := s.post(t, revokePath, []string{basic("bob", "bob-secret")}, "token", signed)
	assertRefused(t, a, http.StatusServiceUnavailable, "temporarily_unavailable")
	if a.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After:\n%s", a)
	}
	if _, err := s.Tokens.Authenticate(t.Context(), signed); err != nil {
		t.Errorf("the token: %v", err)
	}
}

// A token of a revoked user is void already, but must not come back when the user is reinstated.
func TestRevocationOfVoidTokenIsRecorded(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, _ := issue(t, s, "alice")
	changeAlice(t, s, func(u *directory.User) { u.Revoked = true })
	if a := s.post(t, revokePath, []string{basic("bob", "bob-secret")}, "token", signed); a.Status != http.StatusOK {
		t.Fatalf("got\n%s", a)
	}
	changeAlice(t, s, func(u *directory.User) { u.Revoked = false })
	if _, err := s.Tokens.Authenticate(t.Context(), signed); !errors.Is(err, authn.ErrTokenRevoked) {
		t.Errorf("after its user was reinstated: %v", err)
	}
}
