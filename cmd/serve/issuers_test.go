package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
)

const trustedHead = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n"

func TestTrustedIssuersAreReloaded(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "trusted.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log syncedLog
	a := &App{
		options:    &Options{TrustedIssuers: file, Audience: []string{"a"}, IssuerURL: "https://self.test"},
		assertions: &assertion.Verifier{}, log: slog.New(slog.NewTextHandler(&log, nil)), now: time.Now,
	}
	write(trustedHead + "- issuer: {url: https://127.0.0.1:1}\n")
	i, err := a.newIssuers()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	i.apply(ctx)
	first := a.assertions.Issuers()[0]
	changes := 0
	i.OnChange(func() { changes++ })
	if i.reload() {
		t.Error("an unchanged file is a change")
	}
	write(trustedHead + "- issuer: {url: http://127.0.0.1:2}\n")
	for range 2 {
		if i.reload() || !i.Trusts("https://127.0.0.1:1") {
			t.Error("a file with a fault replaces the list")
		}
	}
	if got := log.String(); strings.Count(got, "line 4: jwt[0].issuer.url must be an https URL") != 1 {
		t.Errorf("the log says %q", got)
	}
	write(trustedHead + "- issuer: {url: https://127.0.0.1:1}\n- issuer: {url: https://127.0.0.1:3, audiences: [b]}\n")
	if !i.reload() {
		t.Fatal("a changed file is no change")
	}
	i.apply(ctx)
	if issuers := a.assertions.Issuers(); len(issuers) != 2 || (issuers[0] != first && issuers[1] != first) {
		t.Error("an issuer that has not changed was replaced")
	}
	if changes != 1 || !i.Trusts("https://127.0.0.1:3") || i.Trusts("https://self.test") || i.Trusts("cluster") {
		t.Error("wrong issuers are trusted")
	}
	write(trustedHead + "- issuer: {url: https://self.test}\n")
	if _, err := a.newIssuers(); err == nil || !strings.Contains(err.Error(), "this service itself") {
		t.Errorf("the service trusts itself: %v", err)
	}
}

// The issuer of the cluster is asked before one of the file with the same name.
func TestClusterIsTheFirstIssuer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "trusted.yaml")
	text := trustedHead
	for port := range 20 {
		text += fmt.Sprintf("- issuer: {url: https://127.0.0.1:%d}\n", port+1)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &App{
		options: &Options{TrustedIssuers: file, Audience: []string{"a"}}, assertions: &assertion.Verifier{},
		log: slog.New(slog.DiscardHandler), now: time.Now,
	}
	i, err := a.newIssuers()
	if err != nil {
		t.Fatal(err)
	}
	i.cluster, i.apiServer = &http.Client{Transport: http.DefaultTransport}, "https://127.0.0.1:1"
	for range 2 {
		i.apply(t.Context())
		issuers := a.assertions.Issuers()
		if len(issuers) != 21 || !issuers[0].Cluster || issuers[1].Cluster {
			t.Fatalf("%d issuers, of which the first is that of the cluster: %v", len(issuers), issuers[0].Cluster)
		}
	}
}

// syncedLog collects the log of several goroutines.
type syncedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *syncedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
