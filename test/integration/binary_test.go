package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// buildBinary builds the service into a folder, with more flags of go build, and returns its path.
func buildBinary(t *testing.T, folder string, flags ...string) string {
	t.Helper()
	binary := filepath.Join(folder, "gatehouse")
	args := slices.Concat([]string{"build", "-tags", "grpcnotrace", "-trimpath", "-o", binary}, flags, []string{root})
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// startBinary starts the service until the test ends, with variables besides those of the test. If the test
// fails, it shows the end of what the service has logged.
func startBinary(t *testing.T, binary string, variables []string, args ...string) {
	t.Helper()
	service := exec.CommandContext(t.Context(), binary, append([]string{"serve"}, args...)...)
	service.Env = append(os.Environ(), variables...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	service.Stdout, service.Stderr = log, log
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = service.Process.Kill()
		_ = service.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the service of %s says:\n%s", binary, text[max(0, len(text)-8<<10):])
		}
	})
}
