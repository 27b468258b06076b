package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
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
	typed := &terminal{t: t, folder: folder, port: freePort(t)}
	var script strings.Builder
	// curl fails as a user would notice, and waits for the port-forward.
	script.WriteString("set -eu\ncurl() { command curl -fsS --retry 20 --retry-connrefused --retry-delay 1 \"$@\"; }\n")
	script.WriteString(readmeBlock(t, "configmap gatehouse-ca"))
	for _, path := range []string{"/v1/users/authorize", "/rbac-api/v1/auth/token", "/oauth2/token", "/auth/verify"} {
		script.WriteString("\n" + readmeBlock(t, "localhost:8443"+path))
	}
	script.WriteString("\nkill $!\n")
	typed.run(script.String())
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

// terminal is a shell in which a user pastes what README.md says. Only the port differs.
type terminal struct {
	t      *testing.T
	folder string
	port   int
}

// run runs a script, which must succeed, in a shell without any variable but those that find kubectl
// and the cluster. The tokens that it prints count as used.
func (e *terminal) run(script string) {
	e.t.Helper()
	cmd := exec.CommandContext(e.t.Context(), "sh", "-c", strings.ReplaceAll(script, "8443", strconv.Itoa(e.port)))
	cmd.Dir = e.folder
	cmd.WaitDelay = 10 * time.Second // a port-forward that is left behind has the output open
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "KUBECONFIG=" + os.Getenv("KUBECONFIG")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		e.t.Fatalf("README.md: %v:\n%s", err, out)
	}
	for _, token := range printedToken.FindAllString(string(out), -1) {
		suite.logs.addUsed(token)
	}
	if !strings.Contains(strings.ToLower(string(out)), "x-auth-user: billing-service") {
		e.t.Errorf("the last example does not name the user:\n%s", out)
	}
}

// printedToken matches a JWT.
var printedToken = regexp.MustCompile(`eyJ[A-Za-z0-9_.-]+`)

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
