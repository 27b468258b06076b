package authn_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// BenchmarkPassword holds a login with a password that is remembered against one that costs a hash,
// in one run.
func BenchmarkPassword(b *testing.B) {
	for _, c := range []struct {
		name string
		ttl  time.Duration
	}{{"bcrypt 10", 0}, {"cache hit", time.Hour}} {
		b.Run(c.name, func(b *testing.B) {
			h := newBenchFixture(b, c.ttl)
			b.ReportAllocs()
			for b.Loop() {
				if err := h.login("jean", "password"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("cache hit, all cores", func(b *testing.B) {
		h := newBenchFixture(b, time.Hour)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := h.login("jean", "password"); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// newBenchFixture has one user, who has logged in before.
func newBenchFixture(b *testing.B, cacheTTL time.Duration) *fixture {
	b.Helper()
	h := newFixture(func(c *authn.PasswordConfig) {
		c.CacheTTL = cacheTTL
		c.Audit = func(context.Context, audit.Event) {}
		c.Now = func() time.Time { return start }
	})
	h.put(b, "jean", directory.Password{Hash: parse(b, bcrypt10)})
	if err := h.login("jean", "password"); err != nil {
		b.Fatal(err)
	}
	return h
}
