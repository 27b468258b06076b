package e2e

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestReadmeCommandsWork runs what README.md tells a new user to type after make deploy: a User,
// how to reach the service, and the examples of each API. Only the port differs, because 8443 may
// be taken.
func TestReadmeCommandsWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	if _, err := kubectl(readmeBlock(t, "kind: User"), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	config, err := filepath.Abs(root + "/config")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(config, filepath.Join(folder, "config")); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	typed := &terminal{t: t, folder: folder, port: port, token: "none"}
	for command := range strings.SplitSeq(readmeBlock(t, "configmap gatehouse-ca"), "\n") {
		if strings.Contains(command, "port-forward") {
			typed.background(command)
		} else {
			typed.run(command)
		}
	}
	examples := 0
	for _, path := range []string{"/v1/users/authorize", "/rbac-api/v1/auth/token", "/oauth2/token", "/auth/verify"} {
		for command := range strings.SplitSeq(strings.ReplaceAll(readmeBlock(t, "localhost:8443"+path), "\\\n", ""), "\n") {
			if strings.HasPrefix(command, "curl ") {
				typed.run(strings.Replace(command, "curl ", "curl -fsS --retry 20 --retry-connrefused --retry-delay 1 ", 1))
				examples++
			}
		}
	}
	if examples < 6 {
		t.Errorf("README.md has only %d examples, want 6", examples)
	}
}

// readmeBlock returns the first block of code in README.md that contains a string.
func readmeBlock(t *testing.T, with string) string {
	t.Helper()
	raw, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(raw), "\n```") {
		_, code, _ := strings.Cut(part, "\n")
		if i%2 == 1 && strings.Contains(code, with) {
			return code
		}
	}
	t.Fatalf("README.md has no code with %q", with)
	return ""
}

// terminal is a shell in which a user types one command after another.
type terminal struct {
	t      *testing.T
	folder string
	port   int
	token  string // the last one that a command printed
}

// command returns a command of README.md with the port of the test.
func (e *terminal) command(line string) *exec.Cmd {
	cmd := exec.CommandContext(e.t.Context(), "sh", "-c", strings.ReplaceAll(line, "8443", strconv.Itoa(e.port)))
	cmd.Dir = e.folder
	cmd.Env = append(os.Environ(), "CA=ca.crt", "TOKEN="+e.token)
	return cmd
}

// run runs a command, which must succeed, and keeps the token that it prints, if any.
func (e *terminal) run(line string) {
	e.t.Helper()
	cmd := e.command(line)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		e.t.Fatalf("%s: %v: %s%s", line, err, out, stderr.String())
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		Token       string
	}
	if json.Unmarshal(out, &answer) == nil && answer.AccessToken+answer.Token != "" {
		e.token = answer.AccessToken + answer.Token
		suite.logs.addUsed(e.token)
	}
}

// background runs a command until the test ends.
func (e *terminal) background(line string) {
	e.t.Helper()
	cmd := e.command("exec " + strings.TrimSuffix(strings.TrimSpace(line), "&"))
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("the listener has no port")
	}
	return address.Port
}
