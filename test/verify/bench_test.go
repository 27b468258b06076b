package verify_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// bareCheck returns a function that checks the signature of a JWT, and does nothing else.
func bareCheck(t testing.TB, s *servertest.Service, token string) func() error {
	t.Helper()
	unsigned, signature := token[:strings.LastIndex(token, ".")], token[strings.LastIndex(token, ".")+1:]
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range s.Keys.Public(s.Now()).Keys {
		if jwt.SigningMethodES256.Verify(unsigned, raw, k.Key) == nil {
			return func() error { return jwt.SigningMethodES256.Verify(unsigned, raw, k.Key) }
		}
	}
	t.Fatal("no key of the service verifies its token")
	return nil
}

// BenchmarkVerifySeenBefore also reports the median of what a hundred calls take, for each of them.
func BenchmarkVerifySeenBefore(b *testing.B) {
	s := newService(b)
	v := start(b, s, nil)
	token := issueJWT(b, s, "alice")
	const batch = 100
	var took []time.Duration
	b.ReportAllocs()
	begun := time.Now()
	for i := 1; b.Loop(); i++ {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
		if i%batch == 0 {
			took = append(took, time.Since(begun))
			begun = time.Now()
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/batch, "ns/verify")
	}
}

// BenchmarkVerifyFirstTime verifies tokens that the Verifier has not seen, each in turn with a bare check
// of the same signature, and reports the medians of both and their ratio. Medians of what alternates can
// be compared also on a machine that does other work.
func BenchmarkVerifyFirstTime(b *testing.B) {
	s := newService(b)
	v := start(b, s, nil)
	tokens, checks := make([]string, b.N), make([]func() error, b.N)
	for i := range tokens {
		tokens[i] = issueJWT(b, s, "alice")
		checks[i] = bareCheck(b, s, tokens[i])
	}
	timed := func(f func() error) time.Duration {
		begun := time.Now()
		err := f()
		took := time.Since(begun)
		if err != nil {
			b.Fatal(err)
		}
		return took
	}
	verified, bare := make([]time.Duration, b.N), make([]time.Duration, b.N)
	for i := range tokens {
		first := func() error { _, err := v.Verify(b.Context(), tokens[i]); return err }
		if i%2 == 0 {
			verified[i] = timed(first)
		}
		bare[i] = timed(checks[i])
		if i%2 == 1 {
			verified[i] = timed(first)
		}
	}
	slices.Sort(verified)
	slices.Sort(bare)
	v50, b50 := verified[b.N/2], bare[b.N/2]
	b.ReportMetric(0, "ns/op") // of both, and of issuing the tokens
	b.ReportMetric(float64(v50.Nanoseconds()), "ns/verify")
	b.ReportMetric(float64(b50.Nanoseconds()), "ns/bare")
	b.ReportMetric(float64(v50)/float64(b50), "ratio")
}
