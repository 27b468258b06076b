package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// stolen returns a service with the keys as they are now, which somebody has copied: it goes on
// issuing whatever becomes of the keys.
func stolen(s *service) *service {
	set := &token.KeySet{}
	set.Use(s.Issuer.Keys.Keys())
	return &service{token.Issuer{Keys: set, URL: url, Audience: s.Issuer.Audience}, s.Verifier}
}

func at(issued time.Time, lifetime time.Duration) token.Claims {
	c := claims()
	c.IssuedAt, c.ExpiresAt = issued, issued.Add(lifetime)
	return c
}

func TestReplacedKeyMakesNoNewTokens(t *testing.T) {
	t.Parallel()
	s, p := newService(t, token.ES256), policy(token.ES256)
	thief := stolen(s)
	s.Issuer.Keys.Use(advance(t, edit(t, s.Issuer.Keys.Keys(), requestRotation), start.Add(day), p))
	takeover := start.Add(day + time.Minute)
	for kind, issue := range thief.kinds() {
		for after, want := range map[time.Duration]error{
			-time.Second:     nil,
			29 * time.Second: nil, // the clock of the replica was behind
			31 * time.Second: token.ErrInvalid,
			time.Hour:        token.ErrInvalid,
		} {
			text, _ := mustIssue(t, issue, at(takeover.Add(after), 12*time.Hour))
			for range 2 { // the second time from the cache
				if _, err := s.Verify(text, takeover.Add(after)); !errors.Is(err, want) {
					t.Errorf("%s made %v after the takeover: error %v, want %v", kind, after, err, want)
				}
			}
		}
	}
}

func TestKeyThatStandsByMakesNoTokens(t *testing.T) {
	t.Parallel()
	s, p := newService(t, token.ES256), policy(token.ES256)
	thief := stolen(s)
	thief.Issuer.Keys.Use(advance(t, edit(t, s.Issuer.Keys.Keys(), func(entries map[string][]byte) {
		for _, use := range []token.Use{token.Sign, token.Seal} {
			delete(entries, issuing(t, s.Issuer.Keys.Keys(), use, start).EntryName())
		}
	}), start.Add(day), p)) // makes the keys that stand by issue
	for kind, issue := range thief.kinds() {
		text, _ := mustIssue(t, issue, at(start.Add(day), time.Hour))
		if _, err := s.Verify(text, start.Add(day)); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: error %v", kind, err)
		}
	}
}

// A replica that cannot reach the API server goes on with the keys that it knows.
func TestEndedKeyVerifiesNothingAnywhere(t *testing.T) {
	t.Parallel()
	s, p := newService(t, token.ES256), policy(token.ES256)
	s.Issuer.Keys.Use(advance(t, edit(t, s.Issuer.Keys.Keys(), requestRotation), start.Add(day), p))
	long := at(start.Add(time.Hour), 1000*day)
	for kind, issue := range s.kinds() {
		text, issued := mustIssue(t, issue, long)
		ends := start.Add(day + time.Minute + 10*time.Minute + p.Lifetime[token.Seal])
		if kind == "JWT" {
			ends = start.Add(day + time.Minute + 10*time.Minute + p.Lifetime[token.Sign])
		}
		for now, want := range map[time.Time]error{ends.Add(-time.Second): nil, ends: token.ErrInvalid} {
			if _, err := s.Verify(text, now); !errors.Is(err, want) {
				t.Errorf("%s, %v before the end of the key: error %v, want %v", kind, ends.Sub(now), err, want)
			}
		}
		if kind == "opaque" && (!s.Repeats(issued, ends.Add(-time.Second)) || s.Repeats(issued, ends)) {
			t.Error("a label keeps a token beyond the end of its key")
		}
	}
}

func TestTokensMadeFromOthersKeepTheirRoot(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	for kind, issue := range s.kinds() {
		for _, final := range []bool{false, true} {
			c := claims()
			c.AuthTime, c.Final = start.Add(-time.Hour), final
			text, issued := mustIssue(t, issue, c)
			got, err := s.Verify(text, start.Add(time.Minute))
			if err != nil || !got.AuthTime.Equal(c.AuthTime) || (kind == "opaque" && got.Final != final) {
				t.Errorf("%s: %+v, error %v", kind, got, err)
			}
			if kind == "JWT" {
				continue
			}
			if again, _ := mustIssue(t, s.Opaque, issued); again != text || text[0] != '0' || len(text) != 105 {
				t.Errorf("sealed again as %d characters, at first %d", len(again), len(text))
			}
		}
		if text, _ := mustIssue(t, issue, claims()); kind == "JWT" {
			if got, err := s.Verify(text, start.Add(time.Minute)); err != nil || !got.AuthTime.Equal(got.IssuedAt) {
				t.Errorf("%s from a login: %+v, error %v", kind, got, err)
			}
		}
	}
}

func TestJWTThatCouldNotBeVerifiedIsNotIssued(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	for size, want := range map[int]error{5000: nil, 6000: token.ErrTooLong, 12000: token.ErrTooLong} {
		c := claims()
		c.Groups = []string{strings.Repeat("g", size)}
		text, _, err := s.JWT(c)
		if !errors.Is(err, want) || (err != nil) != (text == "") {
			t.Errorf("%d bytes of groups: error %v, want %v", size, err, want)
		}
		if err == nil {
			if _, err := s.Verify(text, start.Add(time.Minute)); err != nil {
				t.Errorf("issued, but refused: %v", err)
			}
		}
	}
}
