package statedir_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// BenchmarkRevoke measures a revocation that shares its write with no other.
func BenchmarkRevoke(b *testing.B) {
	s, err := statedir.Open(b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	n := 0
	for b.Loop() {
		n++
		if _, err := s.Revoke(token(fmt.Sprintf("%032x", n), "A", ""), 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen measures a start with 100,000 users.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := statedir.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	users := make([]statedir.Identity, 100_000)
	for i := range users {
		users[i] = statedir.Identity{Key: fmt.Sprintf("default/user-%06d", i), UID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", i), FirstSeen: start}
	}
	if err := s.Identify(users, nil); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := statedir.Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
