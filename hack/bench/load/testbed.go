package load

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/bench/machine"
)

// testbed is the two servers, how to reach them, and what the measurements need from the service.
type testbed struct {
	plan
	gatehouse, bare *process
	toGatehouse     target
	toBare          target
	metrics         string // address of the service's metrics and profiles
	tokens          tokens
	issuer          *issuer
	assertions      int // how many were signed
	lastNewcomer    int // the last one who has logged in
}

// newTestbed starts both servers on files in dir. The caller must call stop.
func newTestbed(ctx context.Context, p plan, dir string) (*testbed, error) {
	b := &testbed{plan: p}
	manifests, certs := filepath.Join(dir, "users"), filepath.Join(dir, "tls")
	trust, err := writeCertificate(certs)
	if err != nil {
		return nil, err
	}
	trusted := filepath.Join(dir, "trusted-issuers.yaml")
	if b.issuer, err = startIssuer(certs, trusted); err != nil {
		return nil, err
	}
	if err := writeUsers(manifests, b.issuer.url, p.newcomers()); err != nil {
		return nil, err
	}
	free, err := machine.FreeAddresses(4)
	if err != nil {
		return nil, err
	}
	b.toGatehouse, b.toBare, b.metrics = target{address: free[0], tls: trust}, target{address: free[1], tls: trust}, free[3]
	if b.bare, err = startSelf(ctx, filepath.Join(dir, "bare.log"), BareCommand, "-address", free[1], "-tls-cert-dir", certs); err != nil {
		return nil, err
	}
	b.gatehouse, err = start(ctx, filepath.Join(dir, "gatehouse.log"), p.binary, "serve",
		"--manifests", manifests, "--state-dir", filepath.Join(dir, "state"), "--bind-address", free[0],
		"--health-probe-bind-address", free[2], "--metrics-bind-address", free[3], "--pprof", "--tls-cert-dir", certs, "--trusted-issuers", trusted)
	if err != nil {
		b.stop()
		return nil, err
	}
	if err := awaitReady(ctx, "http://"+free[2]+"/readyz"); err != nil {
		b.stop()
		return nil, err
	}
	if b.tokens, err = b.newTokens(ctx); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

func (b *testbed) stop() {
	for _, p := range []*process{b.gatehouse, b.bare} {
		if p != nil {
			p.stop()
		}
	}
	b.issuer.stop()
}

// awaitReady asks until the answer is 200, for a minute at most.
func awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(r); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		if !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("the service was not ready within a minute: %w", ctx.Err())
		}
	}
}

// pause waits for d and reports whether the context is still alive then.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
