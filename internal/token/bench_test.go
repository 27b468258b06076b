package token_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

func BenchmarkIssue(b *testing.B) {
	for _, algorithm := range []string{token.ES256, token.EdDSA, token.RS256} {
		b.Run(algorithm, func(b *testing.B) { issueAll(b, newService(b, algorithm).JWT) })
	}
	b.Run("opaque", func(b *testing.B) { issueAll(b, newService(b, token.ES256).Opaque) })
}

func issueAll(b *testing.B, issue func(token.Claims) (string, token.Claims, error)) {
	c := claims()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := issue(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{token.ES256, token.EdDSA, token.RS256} {
		s := newService(b, algorithm)
		b.Run(algorithm+"/first time", func(b *testing.B) {
			keys := s.Issuer.Keys.Keys()
			verifyAll(b, s, s.JWT, func() {
				s.Verifier.Keys = &token.KeySet{} // has verified nothing
				s.Verifier.Keys.Use(keys)
			})
		})
		b.Run(algorithm+"/seen before", func(b *testing.B) { verifyAll(b, s, s.JWT, func() {}) })
	}
	s := newService(b, token.ES256)
	b.Run("opaque", func(b *testing.B) { verifyAll(b, s, s.Opaque, func() {}) })
}

func verifyAll(b *testing.B, s *service, issue func(token.Claims) (string, token.Claims, error), before func()) {
	text, _ := mustIssue(b, issue, claims())
	now := start.Add(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		before()
		if _, err := s.Verify(text, now); err != nil {
			b.Fatal(err)
		}
	}
}
