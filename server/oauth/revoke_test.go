package oauth_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

func TestWhoHoldsATokenMayRevokeIt(t *testing.T) {
	g := newGate(t)
	signed, opaque := issue(t, g, "alice")
	other, _ := issue(t, g, "alice")
	for text, caller := range map[string]string{signed: basic("bob", "bob-secret"), opaque: "Authorization: Bearer " + opaque} {
		a := g.post(t, revokePath, []string{caller}, "token", text, "token_type_hint", "whatever")
		if a.Status != http.StatusOK || a.Body != "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got\n%s", a)
		}
		if _, err := g.Tokens.Authenticate(t.Context(), text); !errors.Is(err, authn.ErrTokenRevoked) {
			t.Errorf("after its revocation: %v", err)
		}
	}
	if _, err := g.Tokens.Authenticate(t.Context(), other); err != nil {
		t.Errorf("another token of the same user: %v", err)
	}
}

func TestRevokingTwiceAndRevokingWhatIsNoTokenAreNoErrors(t *testing.T) {
	g := newGate(t)
	signed, _ := issue(t, g, "alice")
	for _, text := range []string{signed, signed, "garbage", signed + "A"} {
		if a := g.post(t, revokePath, []string{basic("bob", "bob-secret")}, "token", text); a.Status != http.StatusOK {
			t.Errorf("got\n%s", a)
		}
	}
	if got := len(g.Directory.RecordsOf(user(t, g, "alice").UID)); got != 1 {
		t.Errorf("%d records were kept", got)
	}
}

func TestARevocationThatCannotBeKeptIsNotAnswered200(t *testing.T) {
	g := newGate(t)
	signed, _ := issue(t, g, "alice")
	g.Records.Fail(true)
	a := g.post(t, revokePath, []string{basic("bob", "bob-secret")}, "token", signed)
	refused(t, a, http.StatusServiceUnavailable, "temporarily_unavailable")
	if a.Header.Get("Retry-After") == "" {
		t.Errorf("nothing says when to come back:\n%s", a)
	}
	if _, err := g.Tokens.Authenticate(t.Context(), signed); err != nil {
		t.Errorf("the token: %v", err)
	}
}

func TestATokenThatIsVoidForWhatItsUserIsStaysRevokedWhenTheUserIsReinstated(t *testing.T) {
	g := newGate(t)
	signed, _ := issue(t, g, "alice")
	change(t, g, func(u *directory.User) { u.Revoked = true })
	if a := g.post(t, revokePath, []string{basic("bob", "bob-secret")}, "token", signed); a.Status != http.StatusOK {
		t.Fatalf("got\n%s", a)
	}
	change(t, g, func(u *directory.User) { u.Revoked = false })
	if _, err := g.Tokens.Authenticate(t.Context(), signed); !errors.Is(err, authn.ErrTokenRevoked) {
		t.Errorf("after its user came back: %v", err)
	}
}
