package authn_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// BenchmarkPassword holds a login with a password that is remembered against one that costs a hash, in one run.
func BenchmarkPassword(b *testing.B) {
	for _, c := range []struct {
		name string
		memo time.Duration
	}{{"bcrypt 10", 0}, {"memo hit", time.Hour}} {
		b.Run(c.name, func(b *testing.B) {
			h := newBenchHouse(b, c.memo)
			b.ReportAllocs()
			for b.Loop() {
				if err := h.login("jean", "password"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("memo hit, all cores", func(b *testing.B) {
		h := newBenchHouse(b, time.Hour)
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

// newBenchHouse has one user, who has logged in before.
func newBenchHouse(b *testing.B, memoTTL time.Duration) *house {
	b.Helper()
	h := newHouse(func(c *authn.PasswordConfig) {
		c.CacheTTL = memoTTL
		c.Audit = func(context.Context, audit.Event) {}
		c.Now = func() time.Time { return start }
	})
	h.put(b, "jean", directory.Password{Hash: parse(b, bcrypt10)})
	if err := h.login("jean", "password"); err != nil {
		b.Fatal(err)
	}
	return h
}
