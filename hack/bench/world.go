package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/gauge"
	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

// world is the two servers and what is needed to reach them.
type world struct {
	plan
	gatehouse, bare *process
	toGatehouse     target
	toBare          target
	metrics         string // address
	tokens          tokens
	nextUser        int // whose password has never been verified
}

// newWorld starts both servers on files in dir. Call stop in the end.
func newWorld(ctx context.Context, p plan, dir string) (*world, error) {
	w := &world{plan: p}
	manifests, certs := filepath.Join(dir, "users"), filepath.Join(dir, "tls")
	if err := writeUsers(manifests, p.newcomers()); err != nil {
		return nil, err
	}
	config, err := writeCertificate(certs)
	if err != nil {
		return nil, err
	}
	ports, err := gauge.FreeAddresses(4)
	if err != nil {
		return nil, err
	}
	w.toGatehouse, w.toBare, w.metrics = target{address: ports[0], tls: config}, target{address: ports[1], tls: config}, ports[3]
	if w.bare, err = startSelf(ctx, filepath.Join(dir, "bare.log"), bareCommand, "-address", ports[1], "-tls-cert-dir", certs); err != nil {
		return nil, err
	}
	w.gatehouse, err = start(ctx, filepath.Join(dir, "gatehouse.log"), p.binary, "serve",
		"--manifests", manifests, "--state-dir", filepath.Join(dir, "state"), "--bind-address", ports[0],
		"--health-probe-bind-address", ports[2], "--metrics-bind-address", ports[3], "--pprof", "--tls-cert-dir", certs)
	if err != nil {
		w.stop()
		return nil, err
	}
	if err := awaitReady(ctx, "http://"+ports[2]+"/readyz"); err != nil {
		w.stop()
		return nil, err
	}
	if w.tokens, err = w.firstTokens(ctx); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *world) stop() {
	for _, p := range []*process{w.gatehouse, w.bare} {
		if p != nil {
			p.stop()
		}
	}
}

func startSelf(ctx context.Context, log string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, log, self, args...)
}

// writeCertificate makes a CA and a certificate as the service makes its own, for both servers, and returns what a client
// trusts.
func writeCertificate(dir string) (*tls.Config, error) {
	now := time.Now()
	ca, err := authority.Authority{}.Advance(now)
	if err != nil {
		return nil, err
	}
	leaf, err := ca.Leaf([]string{"localhost"}, now)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: leaf.Certificate[0]},
		"tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca.Bundle())
	return &tls.Config{RootCAs: trusted, ServerName: "localhost", MinVersion: tls.VersionTLS12}, nil
}

func awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		if answer, err := http.DefaultClient.Do(r); err == nil {
			defer answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the service was not ready within a minute: %w", ctx.Err())
}
