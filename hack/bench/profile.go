package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// profiles are the top entries of the service's profiles, as text, while requests of all kinds that need no hash came as
// fast as they could.
type profiles struct{ cpu, allocations string }

// profileLength is how long the profiles are taken.
const profileLength = 15 * time.Second

func (w *world) profile(ctx context.Context) (p profiles, err error) {
	fmt.Fprintln(os.Stderr, "measuring: profiles")
	clients, hangUp := w.toGatehouse.clients(w.connections)
	defer hangUp()
	if w.tokens, err = w.firstTokens(ctx); err != nil { // the first may have ended since
		return p, err
	}
	mix := []call{
		authorizeCall(knownLogin), loginCall(knownLogin), authenticateCall(w.tokens.opaque),
		introspectCall(w.tokens.jwt), verifyCall(w.tokens.jwt),
	}
	turns := make([]int, len(clients))
	loaded := make(chan error, 1)
	go func() {
		_, err := load{w.gatehouse, clients}.drive(ctx, profileLength+2*time.Second, expect(func(worker int) *call {
			turns[worker]++
			return &mix[turns[worker]%len(mix)]
		}))
		loaded <- err
	}()
	seconds := int(profileLength.Seconds())
	if p.cpu, err = w.top(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds)); err != nil {
		return p, err
	}
	if err := <-loaded; err != nil {
		return p, err
	}
	p.allocations, err = w.top(ctx, "/debug/pprof/allocs", "-sample_index=alloc_space")
	return p, err
}

// top fetches a profile and returns its first twenty entries.
func (w *world) top(ctx context.Context, path string, args ...string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.metrics+path, http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("fetch a profile: status %d %w", answer.StatusCode, err)
	}
	file, err := os.CreateTemp("", "gatehouse-profile-")
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.Write(raw); err != nil {
		return "", err
	}
	args = append([]string{"tool", "pprof", "-top", "-nodecount=20"}, args...)
	cmd := exec.CommandContext(ctx, "go", append(args, filepath.Clean(file.Name()))...) //nolint:gosec // our own arguments
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w: %s", err, complaints.String())
	}
	return strings.TrimSpace(string(out)), nil
}
