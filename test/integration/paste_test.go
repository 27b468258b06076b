package integration_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// paste runs a script in a folder, in a shell that knows nothing but where programs and caches of Go are,
// and some variables, and returns what it prints. What the script leaves running ends with it.
func paste(t *testing.T, folder, script string, variables ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	shell := exec.CommandContext(ctx, "sh", "-c", script)
	shell.Dir = folder
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GOCACHE=" + goEnv(t, "GOCACHE"), "GOMODCACHE=" + goEnv(t, "GOMODCACHE")}
	shell.Env = append(shell.Env, variables...)
	shell.Stdout, shell.Stderr = output, output
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	failure := shell.Wait()
	if err := syscall.Kill(-shell.Process.Pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("stop the service: %v", err)
	}
	awaitEnd(ctx, -shell.Process.Pid)
	out, err := os.ReadFile(output.Name())
	if err != nil {
		t.Fatal(err)
	}
	if failure != nil {
		t.Fatalf("%v:\n%s", failure, out)
	}
	return string(out)
}

// awaitEnd waits until a group of processes has ended, for ten seconds at most, because its folders are
// removed next.
func awaitEnd(ctx context.Context, group int) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(group, 0) == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}
