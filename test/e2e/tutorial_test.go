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

// TestTutorialCommandsWork runs what docs/tutorials/cluster.md tells a new user to type after make
// deploy, up to the revocation: how to declare users, how to reach the service, and how to log in. Only
// the port differs, because 8443 may be taken.
func TestTutorialCommandsWork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
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
	// curl fails as a user would notice, and waits for the port-forward.
	typed.run("set -eu\ncurl() { command curl -fsS --retry 20 --retry-connrefused --retry-delay 1 \"$@\"; }\n" +
		tutorialScript(t) + "kill $!\n")
}

// tutorialScript returns the blocks of the tutorial between the installation and the revocation.
func tutorialScript(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(root + "/docs/tutorials/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, begins := strings.Cut(string(raw), "\n## 2. ")
	text, _, ends := strings.Cut(text, "\n## 5. Revoke")
	var script strings.Builder
	for i, part := range strings.Split(text, "\n```") {
		if code, ok := strings.CutPrefix(part, "sh\n"); i%2 == 1 && ok {
			script.WriteString(code + "\n")
		}
	}
	if !begins || !ends || !strings.Contains(script.String(), "/auth/verify") {
		t.Fatalf("the tutorial has other sections:\n%s", text)
	}
	return script.String()
}

// terminal is a shell in which a user pastes what the tutorial says. Only the port differs.
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
		e.t.Fatalf("docs/tutorials/cluster.md: %v:\n%s", err, out)
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
