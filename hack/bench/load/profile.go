package load

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

// profiles are the top entries of the service's profiles, as text, while it serves requests of all
// kinds that need no hash, as fast as it can.
type profiles struct{ cpu, allocations string }

// profileLength is how long the CPU profile takes.
const profileLength = 15 * time.Second

func (b *testbed) profile(ctx context.Context) (p profiles, err error) {
	fmt.Fprintln(os.Stderr, "measuring: profiles")
	clients, hangUp := b.toGatehouse.clients(b.connections)
	defer hangUp()
	if b.tokens, err = b.newTokens(ctx); err != nil { // those from the start may have ended
		return p, err
	}
	kinds := []call{
		authorizeCall(knownLogin), loginCall(knownLogin), authenticateCall(b.tokens.opaque),
		introspectCall(b.tokens.jwt), verifyCall(b.tokens.jwt),
	}
	turns := make([]int, len(clients))
	loaded := make(chan error, 1)
	go func() {
		_, err := load{b.gatehouse, clients}.drive(ctx, profileLength+2*time.Second, expectOK(func(worker int) *call {
			turns[worker]++
			return &kinds[turns[worker]%len(kinds)]
		}))
		loaded <- err
	}()
	seconds := int(profileLength.Seconds())
	if p.cpu, err = b.topEntries(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds)); err != nil {
		return p, err
	}
	if err := <-loaded; err != nil {
		return p, err
	}
	p.allocations, err = b.topEntries(ctx, "/debug/pprof/allocs", "-sample_index=alloc_space")
	return p, err
}

// topEntries fetches a profile and returns its first twenty entries, as go tool pprof prints them.
func (b *testbed) topEntries(ctx context.Context, path string, args ...string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.metrics+path, http.NoBody)
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
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
