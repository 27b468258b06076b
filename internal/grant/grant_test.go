package grant_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func newService(t *testing.T) (*servertest.Service, *directory.User) {
	t.Helper()
	g := servertest.New(t, servertest.Options{})
	u := &directory.User{Key: "gatehouse-users/jean", UID: "5b0c3f0e-6f6b-4c2a-9d55-2f3c1a7b9e01", Login: "jean"}
	g.Directory.Put(u)
	return g, u
}

func check(t *testing.T, g *servertest.Service, token string) (authn.Identity, error) {
	t.Helper()
	return g.Tokens.Authenticate(t.Context(), token)
}

func opaque(t *testing.T, g *servertest.Service, u *directory.User, o grant.Order) string {
	t.Helper()
	token, err := g.Grants.Opaque(t.Context(), u, o)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestLifetimesStayWithinLimits(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		asked            time.Duration
		policy           directory.User
		jwt, opaqueToken time.Duration
	}{
		"the defaults":             {0, directory.User{}, 5 * time.Minute, time.Hour},
		"as asked":                 {2 * time.Hour, directory.User{}, 2 * time.Hour, 2 * time.Hour},
		"the longest":              {grant.Longest, directory.User{}, 24 * time.Hour, 10 * year},
		"the user's default":       {0, directory.User{DefaultLifetime: 10 * time.Minute}, 5 * time.Minute, 10 * time.Minute},
		"the user's maximum":       {grant.Longest, directory.User{MaximumLifetime: time.Minute}, time.Minute, time.Minute},
		"the maximum cuts default": {0, directory.User{MaximumLifetime: time.Minute}, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			g, u := newService(t)
			policy := *u
			policy.DefaultLifetime, policy.MaximumLifetime = c.policy.DefaultLifetime, c.policy.MaximumLifetime
			_, claims, err := g.Grants.JWT(t.Context(), &policy, c.asked)
			if got := claims.ExpiresAt.Sub(claims.IssuedAt); err != nil || got != c.jwt {
				t.Errorf("JWT: %s, want %s (%v)", got, c.jwt, err)
			}
			id, err := check(t, g, opaque(t, g, &policy, grant.Order{Lifetime: c.asked}))
			if got := id.Claims.ExpiresAt.Sub(id.Claims.IssuedAt); err != nil || got != c.opaqueToken {
				t.Errorf("opaque: %s, want %s (%v)", got, c.opaqueToken, err)
			}
		})
	}
}

func TestLabelGivesSameLiveToken(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	order := grant.Order{Label: "ci", Lifetime: time.Hour}
	first := opaque(t, g, u, order)
	g.Advance(30 * time.Minute)
	if again := opaque(t, g, u, order); again != first {
		t.Error("a live label gives another token")
	}
	g.Advance(30 * time.Minute)
	second := opaque(t, g, u, order)
	if second == first {
		t.Error("a token that has ended is handed out again")
	}
	id, err := check(t, g, second)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Fatal(err)
	}
	if third := opaque(t, g, u, order); third == second {
		t.Error("a revoked token is handed out again")
	}
	if _, err := check(t, g, second); !errors.Is(err, authn.ErrTokenRevoked) {
		t.Errorf("the revoked token whose label has another one: %v", err)
	}
}

func TestLabelAfterRevocationOfUser(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	first := opaque(t, g, u, grant.Order{Label: "ci"})
	if err := g.Grants.RevokeUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	g.Advance(2 * time.Second)
	u, _ = g.Directory.ByUID(u.UID)
	second := opaque(t, g, u, grant.Order{Label: "ci"})
	if second == first {
		t.Error("a void token is handed out again")
	}
	if _, err := check(t, g, second); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

// Someone who may write records must not be able to obtain a token that the service would not
// issue.
func TestLabelIgnoresForgedRecord(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*directory.Record){
		"with a longer life":      func(r *directory.Record) { r.ExpiresAt = r.ExpiresAt.AddDate(50, 0, 0) },
		"under an id of its own":  func(r *directory.Record) { r.ID = token.NewID() },
		"issued before it was":    func(r *directory.Record) { r.IssuedAt = r.IssuedAt.Add(-time.Minute) },
		"from before a known key": func(r *directory.Record) { r.IssuedAt = r.IssuedAt.AddDate(-1, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			g, u := newService(t)
			id, err := check(t, g, opaque(t, g, u, grant.Order{Lifetime: time.Hour}))
			if err != nil {
				t.Fatal(err)
			}
			forged := directory.Record{
				ID: id.Claims.ID, UserKey: u.Key, UserUID: u.UID, Kind: token.KindOpaque, Label: "ci",
				IssuedAt: id.Claims.IssuedAt, ExpiresAt: id.Claims.ExpiresAt,
			}
			change(&forged)
			g.Directory.PutRecord(forged)
			got, err := check(t, g, opaque(t, g, u, grant.Order{Label: "ci", Lifetime: time.Hour}))
			if err != nil || got.Claims.ID == forged.ID || got.Claims.ExpiresAt.Sub(got.Claims.IssuedAt) != time.Hour {
				t.Errorf("the label gives %+v, error %v", got.Claims, err)
			}
		})
	}
}

func TestAtMost200Records(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	var last string
	for i := range grant.MaximumRecords {
		g.Advance(time.Second)
		order := grant.Order{Lifetime: 48 * time.Hour}
		if i < grant.MaximumLabelled {
			order.Label = fmt.Sprint(i)
		}
		last = opaque(t, g, u, order)
	}
	if _, err := g.Grants.Opaque(t.Context(), u, grant.Order{Label: "one more"}); !errors.Is(err, grant.ErrTooManyLabels) {
		t.Errorf("a label beyond the limit: %v", err)
	}
	id, err := check(t, g, last)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Grants.Opaque(t.Context(), u, grant.Order{Lifetime: 48 * time.Hour}); !errors.Is(err, grant.ErrTooManyRecords) {
		t.Errorf("a record beyond the limit: %v", err)
	}
	opaque(t, g, u, grant.Order{Label: "7"})
	short := opaque(t, g, u, grant.Order{})
	if id, err = check(t, g, short); err != nil {
		t.Fatal(err)
	}
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t, g, short); !errors.Is(err, directory.ErrTokenVoid) {
		t.Errorf("a token that was revoked without a record: %v", err)
	}
	if n := g.Directory.CountRecords(u.UID); n != grant.MaximumRecords {
		t.Errorf("%d records", n)
	}
}

func TestOnlyLongTokensAreRecorded(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	opaque(t, g, u, grant.Order{Lifetime: grant.RecordedLifetime, Description: "kept nowhere"})
	for range 3 {
		if _, _, err := g.Grants.JWT(t.Context(), u, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.Directory.RecordCount(); n != 0 {
		t.Errorf("%d records of short tokens", n)
	}
	long := opaque(t, g, u, grant.Order{Lifetime: grant.RecordedLifetime + time.Second, Description: "nightly", Client: "cron"})
	id, err := check(t, g, long)
	if err != nil || id.Record == nil || id.Record.Description != "nightly" || id.Record.Client != "cron" || id.Record.Label != "" {
		t.Fatalf("the record of a long token is %+v, %v", id.Record, err)
	}
	if err := g.Grants.RevokeRecord(t.Context(), *id.Record); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t, g, long); !errors.Is(err, authn.ErrTokenRevoked) {
		t.Errorf("revoked by its id: %v", err)
	}
	config := g.Grants.Config
	config.Lifetimes.JWTMaximum = 72 * time.Hour
	if _, claims, err := grant.New(config).JWT(t.Context(), u, 48*time.Hour); err != nil {
		t.Error(err)
	} else if _, ok := g.Directory.Record(u.UID, claims.ID); !ok {
		t.Error("a long JWT has no record")
	}
}

// TestWritesAreLimited counts every call that writes, and allows what the design allows: 128 at
// once, then 5 a second.
func TestWritesAreLimited(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	other := &directory.User{Key: "gatehouse-users/robot", UID: "5b0c3f0e-6f6b-4c2a-9d55-2f3c1a7b9e02", Login: "robot"}
	g.Directory.Put(other)
	clock := g.Now()
	config := g.Grants.Config
	config.Now = func() time.Time { return clock }
	grants := grant.New(config)
	n := 0
	acts := []func() error{
		func() error {
			_, err := grants.Opaque(t.Context(), u, grant.Order{Label: fmt.Sprint("l", n)})
			return err
		},
		func() error {
			_, err := grants.Opaque(t.Context(), u, grant.Order{Lifetime: 48 * time.Hour})
			return err
		},
		func() error { _, err := grants.RevokeLabel(t.Context(), u, "never given"); return err },
		func() error {
			return grants.Revoke(t.Context(), token.Claims{ID: token.NewID(), UID: u.UID, ExpiresAt: clock.Add(time.Minute)})
		},
	}
	allowed := func() int {
		for first := n; ; n++ {
			err := acts[n%len(acts)]()
			if rate, ok := errors.AsType[*grant.RateError](err); ok {
				if !errors.Is(err, grant.ErrTooManyRequests) || rate.RetryAfter <= 0 || grant.RetryAfter(err) != 1 {
					t.Errorf("got %v after %s", err, rate.RetryAfter)
				}
				return n - first
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := allowed(); got != 128 {
		t.Errorf("%d writes at once, want 128", got)
	}
	for _, act := range acts {
		if err := act(); !errors.Is(err, grant.ErrTooManyRequests) {
			t.Errorf("an act that writes beyond the limit: %v", err)
		}
	}
	if err := grants.RevokeUser(t.Context(), u); !errors.Is(err, grant.ErrTooManyRequests) {
		t.Errorf("a revocation of all tokens beyond the limit: %v", err)
	}
	if _, err := grants.Opaque(t.Context(), u, grant.Order{}); err != nil {
		t.Errorf("a token that costs no write: %v", err)
	}
	clock = clock.Add(2 * time.Second)
	if got := allowed(); got != 10 {
		t.Errorf("%d writes after two seconds, want 10", got)
	}
	if _, err := grants.Opaque(t.Context(), other, grant.Order{Label: "ci"}); err != nil {
		t.Errorf("another user: %v", err)
	}
	admin := grant.WithActor(t.Context(), grant.Actor{UID: other.UID, Admin: true})
	if err := grants.RevokeUser(admin, u); err != nil {
		t.Errorf("an administrator who stops the user: %v", err)
	}
}

// A token that is void from the start is never issued: in the second of a revocation, a login waits.
func TestNoTokenIsIssuedVoid(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	for i := range 4 {
		if err := g.Grants.RevokeUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		text := opaque(t, g, u, grant.Order{Label: []string{"", "ci"}[i%2]}) // u is the version from before the revocation
		if _, err := check(t, g, text); err != nil {
			t.Errorf("the next opaque token: %v", err)
		}
		if err := g.Grants.RevokeUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if _, err := check(t, g, text); !errors.Is(err, directory.ErrTokenVoid) {
			t.Errorf("the opaque token after another revocation: %v", err)
		}
		text, _, err := g.Grants.JWT(t.Context(), u, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := check(t, g, text); err != nil {
			t.Errorf("the next JWT: %v", err)
		}
	}
}

func TestNoTokenWhileAllAreVoid(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	next := *u
	next.TokensValidAfter = g.Now().Add(time.Minute)
	g.Directory.Put(&next)
	_, opaqueErr := g.Grants.Opaque(t.Context(), u, grant.Order{})
	_, _, jwtErr := g.Grants.JWT(t.Context(), u, 0)
	for _, err := range []error{opaqueErr, jwtErr} {
		if after := grant.RetryAfter(err); !errors.Is(err, grant.ErrUnavailable) || after < 59 || after > 61 {
			t.Errorf("got %v, to be tried again after %d s", err, after)
		}
	}
	g.Advance(61 * time.Second)
	if _, err := check(t, g, opaque(t, g, u, grant.Order{})); err != nil {
		t.Errorf("a token after that minute: %v", err)
	}
}

// 2xx means stored, also for a user who has just been created and whom this replica does not know.
func TestRevokeTokenOfUnknownUser(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	text := opaque(t, g, u, grant.Order{})
	id, err := check(t, g, text)
	if err != nil {
		t.Fatal(err)
	}
	g.Directory.Delete(u.Key)
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Fatal(err)
	}
	g.Directory.Put(u)
	if _, err := check(t, g, text); !errors.Is(err, authn.ErrTokenRevoked) {
		t.Errorf("the token, once the user is known: %v", err)
	}
}

// Whoever may write records can make one that ends before its token. A revocation by that record
// lasts as long as the token may live.
func TestRevokeByForgedRecord(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*directory.Record){
		"that has not ended": func(*directory.Record) {},
		"that has ended":     func(r *directory.Record) { r.ExpiresAt = r.IssuedAt.Add(time.Millisecond) },
		"of another kind":    func(r *directory.Record) { r.Kind = token.KindJWT },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, u := newService(t)
			id, err := check(t, g, opaque(t, g, u, grant.Order{Lifetime: 20 * time.Hour}))
			if err != nil {
				t.Fatal(err)
			}
			forged := directory.Record{
				ID: id.Claims.ID, UserKey: u.Key, UserUID: u.UID, Kind: token.KindOpaque,
				IssuedAt: id.Claims.IssuedAt, ExpiresAt: g.Now().Add(time.Minute),
			}
			change(&forged)
			if err := g.Grants.RevokeRecord(t.Context(), forged); err != nil {
				t.Fatal(err)
			}
			if r, _ := g.Directory.Record(u.UID, id.Claims.ID); r.RevokedUntil.Before(id.Claims.ExpiresAt) {
				t.Errorf("the revocation ends at %s, the token at %s", r.RevokedUntil, id.Claims.ExpiresAt)
			}
		})
	}
}

func TestFailedWritesAreReported(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	token := opaque(t, g, u, grant.Order{})
	id, err := check(t, g, token)
	if err != nil {
		t.Fatal(err)
	}
	g.Records.Fail(true)
	for name, err := range map[string]error{
		"a label":      func() error { _, err := g.Grants.Opaque(t.Context(), u, grant.Order{Label: "ci"}); return err }(),
		"a revocation": g.Grants.Revoke(t.Context(), id.Claims),
		"a user":       g.Grants.RevokeUser(t.Context(), u),
	} {
		if !errors.Is(err, grant.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := check(t, g, token); err != nil {
		t.Errorf("the token, which is not revoked: %v", err)
	}
	opaque(t, g, u, grant.Order{}) // needs no record
}

func TestRevokeTwiceAndAfterExpiry(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	id, err := check(t, g, opaque(t, g, u, grant.Order{Lifetime: time.Minute}))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
			t.Fatal(err)
		}
	}
	g.Records.Fail(true) // neither of these needs a write
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Errorf("revoked already: %v", err)
	}
	g.Advance(time.Hour)
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Errorf("ended already: %v", err)
	}
}

func TestRevokeRecordOfUnknownUser(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	id, err := check(t, g, opaque(t, g, u, grant.Order{Label: "ci"}))
	if err != nil {
		t.Fatal(err)
	}
	g.Directory.Delete(u.Key)
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Fatal(err)
	}
	if r, _ := g.Directory.Record(u.UID, id.Claims.ID); !r.Revoked {
		t.Error("a revocation was confirmed but not kept")
	}
}

func TestRevokeDespiteForgedRecord(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	token := opaque(t, g, u, grant.Order{Lifetime: time.Hour})
	id, err := check(t, g, token)
	if err != nil {
		t.Fatal(err)
	}
	g.Directory.PutRecord(directory.Record{
		ID: id.Claims.ID, UserKey: u.Key, UserUID: u.UID, ExpiresAt: g.Now().Add(-time.Minute),
		Revoked: true, RevokedUntil: g.Now().Add(-time.Minute),
	})
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t, g, token); !errors.Is(err, authn.ErrTokenRevoked) {
		t.Errorf("the token: %v", err)
	}
}

func TestRevokeLabelUnknownToReplica(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	token := opaque(t, g, u, grant.Order{Label: "ci"})
	elsewhere := g.Grants.Config
	elsewhere.Directory = directory.New()
	elsewhere.Directory.Put(u)
	replica := grant.New(elsewhere)
	if found, err := replica.RevokeLabel(t.Context(), u, "never given"); found || err != nil {
		t.Errorf("a label that no token has: %t, %v", found, err)
	}
	g.Records.Fail(true)
	if _, err := replica.RevokeLabel(t.Context(), u, "ci"); !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("while the records cannot be read: %v", err)
	}
	g.Records.Fail(false)
	if found, err := replica.RevokeLabel(t.Context(), u, "ci"); !found || err != nil {
		t.Errorf("got %t, %v", found, err)
	}
	if _, err := check(t, g, token); !errors.Is(err, authn.ErrTokenRevoked) {
		t.Errorf("the token: %v", err)
	}
}

func TestConcurrentLabelGivesOneToken(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	tokens := make([]string, 100)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() { tokens[i] = opaque(t, g, u, grant.Order{Label: "ci"}) })
	}
	wg.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Fatal("one label has two tokens")
		}
	}
}

func TestAuditNamesTokensByID(t *testing.T) {
	t.Parallel()
	g, u := newService(t)
	token := opaque(t, g, u, grant.Order{Label: "ci"})
	id, err := check(t, g, token)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Fatal(err)
	}
	for _, e := range g.Events() {
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, token) || e.TokenID != id.Claims.ID || e.UID != u.UID {
			t.Errorf("event %s", text)
		}
	}
	if n := len(g.Events()); n != 3 {
		t.Errorf("%d events for an issue, a check and a revocation", n)
	}
}
