package authn_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// The users of a namespace that cannot be read get no verdict, nor does a login that may be theirs.
// All others do.
func TestUsersOfACutNamespaceGetNoVerdict(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	u := h.put(t, "out", bcrypt4(t, right))
	in := h.change(u, func(next *directory.User) { next.Key, next.UID, next.Login = "team/in", "uid-of-in", "in" })
	h.change(u, func(next *directory.User) { next.Key, next.UID, next.Login = "other/both", "uid-of-both", "both" })
	made, err := token.Keys{}.Advance(start, token.Policy{Algorithm: token.ES256, Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	keys := &token.KeySet{}
	keys.Use(made)
	issuer := &token.Issuer{Keys: keys, URL: "https://issuer.test", Audience: []string{"a"}}
	tokens := &authn.Token{
		Directory: h.directory, Audit: h.Audit, Now: h.clock,
		Verifier: &token.Verifier{Keys: keys, Issuer: "https://issuer.test", Audience: []string{"a"}},
	}
	tokenOf := func(uid, login string) func() error {
		text, _, err := issuer.JWT(token.Claims{UID: uid, Login: login, IssuedAt: start, ExpiresAt: start.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return func() error { _, err := tokens.Authenticate(t.Context(), text); return err }
	}
	for _, outage := range []bool{false, true, false} {
		h.directory.SetOutage(nil)
		if outage {
			h.directory.SetOutage(&directory.Outage{
				Namespaces: map[string]bool{"team": true}, MayHave: func(login string) bool { return login == "maybe" || login == "both" },
			})
		}
		for name, c := range map[string]struct {
			ask       func() error
			otherwise error
			cut       bool
		}{
			"a password there":          {func() error { return h.login("in", right) }, nil, true},
			"a wrong password there":    {func() error { return h.login("in", "wrong") }, authn.ErrWrongPassword, true},
			"a login that may be there": {func() error { return h.login("maybe", right) }, authn.ErrUnknownLogin, true},
			"a wrong password of a user elsewhere whose login may be there": {
				func() error { return h.login("both", "wrong") }, authn.ErrWrongPassword, true,
			},
			"the right one":                {func() error { return h.login("both", right) }, nil, false},
			"a token there":                {tokenOf(in.UID, "in"), nil, true},
			"a token of one who may be":    {tokenOf("unknown", "maybe"), authn.ErrUserGone, true},
			"a token of one who is gone":   {tokenOf("unknown", "nobody"), authn.ErrUserGone, false},
			"a password elsewhere":         {func() error { return h.login("out", right) }, nil, false},
			"a wrong password elsewhere":   {func() error { return h.login("out", "wrong") }, authn.ErrWrongPassword, false},
			"a login that cannot be there": {func() error { return h.login("nobody", right) }, authn.ErrUnknownLogin, false},
			"a token elsewhere":            {tokenOf(u.UID, "out"), nil, false},
		} {
			want := c.otherwise
			if outage && c.cut {
				want = authn.ErrCut
			}
			if err := c.ask(); !errors.Is(err, want) || outage && c.cut && !errors.Is(err, authn.ErrUnavailable) {
				t.Errorf("outage %t, %s: %v, want %v", outage, name, err, want)
			}
		}
	}
}
