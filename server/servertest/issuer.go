package servertest

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
)

// Trust returns a Verifier that trusts an issuer and fetches its keys until the test ends. The
// audience of assertions is assertiontest.Audience. A now of nil stands for time.Now.
func Trust(t testing.TB, i *assertiontest.Issuer, now func() time.Time) *assertion.Verifier {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	trusted := assertion.NewIssuer(assertion.Config{
		Source:    assertion.Source{Get: i.Get, Issuer: i.URL},
		Audiences: []string{assertiontest.Audience}, Now: now, Fetched: func(*assertion.Issuer, bool, error) {},
	})
	v := &assertion.Verifier{}
	v.Trust([]*assertion.Issuer{trusted})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); trusted.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return v
}
