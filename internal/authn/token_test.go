package authn_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

const jeansUID = "5b0c3f0e-6f6b-4c2a-9d55-2f3c1a7b9e01"

// tokenFixture is a token authenticator with a user, jean, and tokens of both kinds that are good.
type tokenFixture struct {
	*fixture
	tokens *authn.Token
	jean   *directory.User
	good   map[string]string
}

func newTokenFixture(t *testing.T) *tokenFixture {
	t.Helper()
	h := newFixture(nil)
	keys, err := token.Keys{}.Advance(start, token.Policy{Algorithm: token.ES256, Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	set := &token.KeySet{}
	set.Use(keys)
	c := &tokenFixture{fixture: h, good: map[string]string{}, tokens: &authn.Token{
		Directory: h.directory, Audit: h.Audit, Now: h.clock,
		Verifier: &token.Verifier{Keys: set, Issuer: "https://issuer", Audience: []string{"https://issuer"}},
	}}
	c.jean = h.put(t, "jean")
	c.jean.UID = jeansUID
	h.directory.Put(c.jean)
	issuer := &token.Issuer{Keys: set, URL: "https://issuer", Audience: []string{"https://issuer"}}
	claims := token.Claims{UID: jeansUID, Login: "jean", IssuedAt: start, ExpiresAt: start.Add(time.Hour)}
	if c.good[token.KindJWT], _, err = issuer.JWT(claims); err != nil {
		t.Fatal(err)
	}
	if c.good[token.KindOpaque], _, err = issuer.Opaque(claims); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Second)
	return c
}

func TestReasonsToRefuseToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*tokenFixture, token.Claims)
		want error
	}{
		"nothing":  {func(*tokenFixture, token.Claims) {}, nil},
		"its time": {func(c *tokenFixture, _ token.Claims) { c.advance(time.Hour) }, token.ErrExpired},
		"its record": {func(c *tokenFixture, claims token.Claims) {
			c.directory.PutRecord(directory.Record{ID: claims.ID, UserUID: claims.UID, Revoked: true})
		}, authn.ErrTokenRevoked},
		"a record of another user": {func(c *tokenFixture, claims token.Claims) {
			c.directory.PutRecord(directory.Record{ID: claims.ID, UserUID: "another", Revoked: true})
		}, nil},
		"a user that is gone": {func(c *tokenFixture, _ token.Claims) { c.directory.Delete(c.jean.Key) }, authn.ErrUserGone},
		"a user with another UID": {func(c *tokenFixture, _ token.Claims) {
			c.change(c.jean, func(u *directory.User) { u.UID = "another" })
		}, authn.ErrUserGone},
		"a revoked user": {func(c *tokenFixture, _ token.Claims) {
			c.change(c.jean, func(u *directory.User) { u.Revoked = true })
		}, directory.ErrRevoked},
		"an account that ended": {func(c *tokenFixture, _ token.Claims) {
			c.change(c.jean, func(u *directory.User) { u.ExpiresAt = start })
		}, directory.ErrExpired},
		"tokensValidAfter": {func(c *tokenFixture, _ token.Claims) {
			c.change(c.jean, func(u *directory.User) { u.TokensValidAfter = start })
		}, directory.ErrTokenVoid},
		"a lock, which concerns passwords only": {func(c *tokenFixture, _ token.Claims) {
			c.change(c.jean, func(u *directory.User) { u.LockedUntil = start.Add(time.Hour) })
		}, nil},
		"a login that another user holds": {func(c *tokenFixture, _ token.Claims) {
			c.directory.Put(&directory.User{Key: "gatehouse-users/elder", UID: "elder", Login: "boss", Created: start.Add(-time.Hour)})
			c.change(c.jean, func(u *directory.User) { u.Login, u.Created = "boss", start })
		}, authn.ErrUserGone},
	} {
		for _, kind := range []string{token.KindJWT, token.KindOpaque} {
			t.Run(name+", "+kind, func(t *testing.T) {
				p := newTokenFixture(t)
				id, err := p.tokens.Authenticate(t.Context(), p.good[kind])
				if err != nil || id.User.Login != "jean" || id.Claims.Kind != kind {
					t.Fatalf("before: %+v, %v", id, err)
				}
				c.end(p, id.Claims)
				if _, err := p.tokens.Authenticate(t.Context(), p.good[kind]); !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
					t.Errorf("after: %v, want %v", err, c.want)
				}
			})
		}
	}
}

func TestNoTokenVerdictBeforeSync(t *testing.T) {
	t.Parallel()
	p := newTokenFixture(t)
	p.tokens.Directory = directory.New()
	if _, err := p.tokens.Authenticate(t.Context(), p.good[token.KindJWT]); !errors.Is(err, authn.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if last := p.events[len(p.events)-1]; last.Outcome != audit.Failed {
		t.Errorf("audited as %s", last.Outcome)
	}
}
