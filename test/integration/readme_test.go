package integration_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadmeWorksInAnEmptyShell pastes what README.md tells a new user to type before it comes to
// clusters, as it stands, into a shell without variables. Only the ports differ, because theirs may be
// taken.
func TestReadmeWorksInAnEmptyShell(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the service")
	}
	for _, tool := range []string{"make", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	script := readmeCommands(t, "## Try it", "## How it works")
	for _, want := range []string{"make run", "/v1/users/authorize", "/rbac-api/v1/auth/token", "/oauth2/introspect", "/auth/verify"} {
		if !strings.Contains(script, want) {
			t.Errorf("README.md has no command with %s", want)
		}
	}
	service, probes, metrics := freePort(t), freePort(t), freePort(t)
	script = strings.NewReplacer(
		"make run &", "make run RUN_FLAGS='--bind-address localhost:"+service+
			" --health-probe-bind-address localhost:"+probes+" --metrics-bind-address localhost:"+metrics+"' &",
		"localhost:8443", "localhost:"+service).Replace(script)
	// A user would notice a status that is an error; the shell does so with --fail.
	out := paste(t, "set -eu\ncurl() { command curl --fail --silent --show-error \"$@\"; }\n"+script)
	for _, want := range []string{`"access_token"`, `"active":true`, "X-Auth-User: billing-service"} {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
			t.Errorf("the commands do not print %s:\n%s", want, out)
		}
	}
	for line := range strings.Lines(out) {
		untrusted := strings.Contains(line, "IssuerNotTrusted") // a sample has an identity, which needs a cluster
		if (strings.Contains(line, "level=WARN") && !untrusted) || strings.Contains(line, "level=ERROR") {
			t.Errorf("the service complains: %s", line)
		}
	}
}

// readmeCommands returns the commands of README.md between two headings.
func readmeCommands(t *testing.T, from, to string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), from+"\n")
	section, _, ended := strings.Cut(section, to+"\n")
	if !found || !ended {
		t.Fatalf("README.md has no section between %q and %q", from, to)
	}
	var script strings.Builder
	for i, part := range strings.Split(section, "\n```") {
		if code, ok := strings.CutPrefix(part, "sh\n"); i%2 == 1 && ok {
			script.WriteString(code + "\n")
		}
	}
	return script.String()
}

// paste runs a script in the root of the repository, in a shell that knows nothing but where programs
// and caches of Go are, and returns what it prints. What the script leaves running ends with it.
func paste(t *testing.T, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	shell := exec.CommandContext(ctx, "sh", "-c", script)
	shell.Dir = "../.."
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GOCACHE=" + goEnv(t, "GOCACHE"), "GOMODCACHE=" + goEnv(t, "GOMODCACHE")}
	shell.Stdout, shell.Stderr = output, output
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	failure := shell.Wait()
	if err := syscall.Kill(-shell.Process.Pid, syscall.SIGTERM); err != nil {
		t.Errorf("stop the service: %v", err)
	}
	awaitEnd(ctx, -shell.Process.Pid)
	out, err := os.ReadFile(output.Name())
	if err != nil {
		t.Fatal(err)
	}
	if failure != nil {
		t.Fatalf("README.md: %v:\n%s", failure, out)
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
