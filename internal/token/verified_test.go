package token_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

func TestVerifiedTokenStillExpires(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	text, issued := mustIssue(t, s.JWT, claims())
	for range 2 {
		if _, err := s.Verify(text, issued.ExpiresAt.Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Verify(text, issued.ExpiresAt); !errors.Is(err, token.ErrExpired) {
		t.Errorf("%v, want it expired", err)
	}
}

func TestVerifiedTokenGoesWithItsKey(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	text, issued := mustIssue(t, s.JWT, claims())
	if _, err := s.Verify(text, issued.IssuedAt); err != nil {
		t.Fatal(err)
	}
	s.Issuer.Keys.Use(advance(t, token.Keys{}, start, policy(token.ES256)))
	if _, err := s.Verify(text, issued.IssuedAt); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("%v, want it invalid", err)
	}
}

func TestVerifiedTokenKeepsIssuerAndAudience(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	text, issued := mustIssue(t, s.JWT, claims())
	if _, err := s.Verify(text, issued.IssuedAt); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]token.Verifier{
		"issuer":   {Keys: s.Issuer.Keys, Issuer: "https://elsewhere.example", Audience: []string{url}},
		"audience": {Keys: s.Issuer.Keys, Issuer: url, Audience: []string{"https://elsewhere.example"}},
	} {
		if _, err := other.Verify(text, issued.IssuedAt); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("another %s: %v, want it invalid", name, err)
		}
	}
}

// TestConcurrentVerification has more tokens than are remembered, so that some are forgotten
// meanwhile.
func TestConcurrentVerification(t *testing.T) {
	t.Parallel()
	s := newService(t, token.EdDSA)
	const callers, each = 8, 5000
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				c := claims()
				c.Login = fmt.Sprintf("user-%d-%d", caller, i)
				text, issued, err := s.JWT(c)
				if err != nil {
					t.Error(err)
					return
				}
				for range 2 {
					if got, err := s.Verify(text, issued.IssuedAt); err != nil || got.Login != c.Login {
						t.Errorf("%q, want %q (%v)", got.Login, c.Login, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
}
