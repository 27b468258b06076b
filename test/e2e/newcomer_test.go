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

// TestTheReadmeWorksAsItIsTyped runs what README.md tells a newcomer to type after make deploy: a User, the way to the service,
// and the example of each door. Only the port may be another, where that is taken.
func TestTheReadmeWorksAsItIsTyped(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	if _, err := kubectl(block(t, "kind: User"), "apply", "-f", "-"); err != nil {
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
	for command := range strings.SplitSeq(block(t, "configmap gatehouse-ca"), "\n") {
		if strings.Contains(command, "port-forward") {
			typed.background(command)
		} else {
			typed.run(command)
		}
	}
	doors := 0
	for _, door := range []string{"/v1/users/authorize", "/rbac-api/v1/auth/token", "/oauth2/token", "/auth/verify"} {
		for command := range strings.SplitSeq(strings.ReplaceAll(block(t, "localhost:8443"+door), "\\\n", ""), "\n") {
			if strings.HasPrefix(command, "curl ") {
				typed.run(strings.Replace(command, "curl ", "curl -fsS --retry 20 --retry-connrefused --retry-delay 1 ", 1))
				doors++
			}
		}
	}
	if doors < 6 {
		t.Errorf("README.md has only %d examples", doors)
	}
}

// block is the code in README.md that contains a string.
func block(t *testing.T, with string) string {
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

// terminal is a shell in which somebody types one command after another.
type terminal struct {
	t      *testing.T
	folder string
	port   int
	token  string // the last one that was printed
}

func (e *terminal) command(line string) *exec.Cmd {
	cmd := exec.CommandContext(e.t.Context(), "sh", "-c", strings.ReplaceAll(line, "8443", strconv.Itoa(e.port)))
	cmd.Dir = e.folder
	cmd.Env = append(os.Environ(), "CA=ca.crt", "TOKEN="+e.token)
	return cmd
}

func (e *terminal) run(line string) {
	e.t.Helper()
	cmd := e.command(line)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		e.t.Fatalf("%s: %v: %s%s", line, err, out, complaint.String())
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		Token       string
	}
	if json.Unmarshal(out, &answer) == nil && answer.AccessToken+answer.Token != "" {
		e.token = answer.AccessToken + answer.Token
		bench.logs.note(e.token)
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
		t.Fatal("a listener without a port")
	}
	return address.Port
}
