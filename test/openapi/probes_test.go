package openapi_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// TestProbesGiveExactlyTheDocumentedAnswers asks the port for probes of a service that is ready, and of
// one whose API server is away, until they have given each answer of the file.
func TestProbesGiveExactlyTheDocumentedAnswers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it compiles the service")
	}
	a, binary := &answers{document: load(t), seen: map[answer]bool{}}, build(t)
	for address, wanted := range map[string]int{
		startProbes(t, binary, "--manifests", t.TempDir(), "--state-dir", t.TempDir()): http.StatusOK,
		startProbes(t, binary): http.StatusInternalServerError,
	} {
		await(t, address+"/readyz", wanted)
		for _, path := range []string{"/healthz", "/readyz", "/statusz"} {
			a.check(t, http.MethodGet, path, ask(t, address+path))
		}
		if got := ask(t, address+"/other"); got.Status != http.StatusNotFound {
			t.Errorf("another path: %s", got)
		}
	}
	for _, want := range a.documented(true) {
		if !a.seen[want] {
			t.Errorf("no request gets the documented answer %+v", want)
		}
	}
}

// build compiles the service and returns the path of the binary.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "gatehouse")
	command := exec.CommandContext(t.Context(), "go", "build", "-tags", "grpcnotrace", "-trimpath", "-o", binary, ".")
	command.Dir, command.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// nowhere is the configuration of a cluster whose API server does not answer.
const nowhere = `{"apiVersion": "v1", "kind": "Config", "current-context": "away",
"clusters": [{"name": "away", "cluster": {"server": "https://127.0.0.1:1"}}], "users": [{"name": "away", "user": {"token": "away"}}],
"contexts": [{"name": "away", "context": {"cluster": "away", "user": "away"}}]}`

// startProbes runs a service until the test ends, and returns the address of its probes.
func startProbes(t *testing.T, binary string, flags ...string) string {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(nowhere), 0o600); err != nil {
		t.Fatal(err)
	}
	probes := freeAddress(t)
	command := exec.CommandContext(t.Context(), binary, append([]string{
		"serve", "--bind-address", freeAddress(t), "--health-probe-bind-address", probes, "--metrics-bind-address", "0",
	}, flags...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "POD_NAMESPACE=gatehouse-system")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return "http://" + probes
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// await asks until the answer has a status.
func await(t *testing.T, url string, status int) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if response, err := http.Get(url); err == nil {
			response.Body.Close()
			if response.StatusCode == status {
				return
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s does not answer %d", url, status)
		}
	}
}

func ask(t *testing.T, url string) servertest.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return servertest.Answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}
