package integration_test

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// shellBlock is a block of shell commands in a page.
type shellBlock struct {
	code string
	// marker is the comment above the block, without the dashes: "not run: REASON", or "run: WHERE" with
	// the name of a test, or e2e. A block without a marker is run by the tests in this file.
	marker string
}

var (
	shellFence = regexp.MustCompile("(?ms)^([ ]*)(?:<!-- ((?:not )?run: [^\n]*) -->\n[ ]*)?```sh\n(.*?)^[ ]*```$")
	ownTest    = regexp.MustCompile(`^run: (Test\w+)$`)
)

// shellBlocks returns the blocks of a page.
func shellBlocks(text string) (out []shellBlock) {
	for _, m := range shellFence.FindAllStringSubmatch(text, -1) {
		out = append(out, shellBlock{code: strings.ReplaceAll("\n"+m[3], "\n"+m[1], "\n"), marker: m[2]})
	}
	return out
}

// pages returns the text of each page that people read, by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(filepath.ToSlash(path), root+"/")
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || slices.Contains([]string{"node_modules", "dist", "bin"}, entry.Name())):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md", strings.HasPrefix(name, "docs/cli/"): // generated from the commands, whose tests run the examples
			return nil
		}
		text, err := os.ReadFile(path)
		out[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestShellBlocksOfThePagesAreRun requires of each block of each page that a test runs it, or that a
// comment above it says why none does.
func TestShellBlocksOfThePagesAreRun(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	testFiles(t, func(_, text string) {
		for _, m := range testFunction.FindAllStringSubmatch(text, -1) {
			exists[m[1]] = true
		}
	})
	run, all := 0, 0
	for name, text := range pages(t) {
		found := shellBlocks(text)
		if fences := strings.Count(text, "```sh\n"); fences != len(found) {
			t.Errorf("%s has %d blocks of shell commands, and only %d can be read", name, fences, len(found))
		}
		for _, b := range found {
			all++
			where := ownTest.FindStringSubmatch(b.marker)
			switch {
			case b.marker == "" && !slices.Contains(standalonePages, name) && !slices.Contains(clusterPages, name):
				t.Errorf("no test runs the commands of %s:\n%s", name, b.code)
			case b.marker == "run: e2e" && name != "docs/tutorials/cluster.md":
				t.Errorf("test/e2e does not run the commands of %s:\n%s", name, b.code)
			case where != nil && !exists[where[1]]:
				t.Errorf("there is no %s, which runs the commands of %s", where[1], name)
			case strings.HasPrefix(b.marker, "run:") && b.marker != "run: e2e" && where == nil:
				t.Errorf("%s has the marker %q", name, b.marker)
			case strings.HasPrefix(b.marker, "not run:") && len(b.marker) < len("not run: a reason"):
				t.Errorf("%s has no reason: %q", name, b.marker)
			}
			if !strings.HasPrefix(b.marker, "not run:") {
				run++
			}
		}
	}
	t.Logf("%d of %d blocks are run", run, all)
}

// The pages whose blocks the two tests below run, each page in a shell of its own.
var (
	standalonePages = []string{"README.md", "docs/tutorials/standalone.md", "docs/how-to/without-a-cluster.md"}
	clusterPages    = []string{
		"docs/tutorials/cluster.md", "docs/how-to/rotate-a-password.md", "docs/how-to/revoke-at-once.md", "docs/how-to/upgrade.md",
		"docs/how-to/install.md", "docs/how-to/back-up.md", "docs/kubectl.md", "docs/tokens.md", "docs/users.md", "docs/lint.md",
	}
)

// shellScript returns the blocks of a page that have no marker, as one script.
func shellScript(t *testing.T, name string) string {
	t.Helper()
	return markedScript(t, name, "")
}

// markedScript returns the blocks of a page with a marker, as one script.
func markedScript(t *testing.T, name, marker string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, b := range shellBlocks(string(text)) {
		if b.marker == marker {
			script.WriteString(b.code + "\n")
		}
	}
	return script.String()
}

// TestPagesWorkWithoutACluster pastes what these pages tell people to type, as it stands, into a shell
// without variables, in a copy of the repository. Only the ports differ, because theirs may be taken.
func TestPagesWorkWithoutACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the service")
	}
	requireTools(t, "make", "curl")
	want := map[string][]string{
		"README.md":                        {"x-auth-user: jeanjackson@example.com", "missing or invalid credentials"},
		"docs/tutorials/standalone.md":     {`"access_token"`, `"active":true`, "x-auth-user: billing-service", "401"},
		"docs/how-to/without-a-cluster.md": {`"access_token"`, "401"},
	}
	for _, name := range standalonePages {
		t.Run(name, func(t *testing.T) {
			service, probes, metrics := freePort(t), freePort(t), freePort(t)
			ports := " --health-probe-bind-address localhost:" + probes + " --metrics-bind-address localhost:" + metrics
			script := strings.NewReplacer(
				"make run &", "make run RUN_FLAGS='--bind-address localhost:"+service+ports+"' &",
				"--bind-address localhost:8443", "--bind-address localhost:"+service+ports,
				"localhost:8443", "localhost:"+service).Replace(shellScript(t, name))
			// A user would notice a status that is an error; the shell does so with --fail, except where the page
			// expects one.
			out := paste(t, copyOfRepository(t), "set -eu\n"+script)
			for _, text := range want[name] {
				if !strings.Contains(strings.ToLower(out), strings.ToLower(text)) {
					t.Errorf("the commands do not print %s:\n%s", text, out)
				}
			}
			requireNoComplaints(t, out)
		})
	}
}

func requireNoComplaints(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		// A sample has an identity, which needs a cluster.
		expected := strings.Contains(line, "IssuerNotTrusted") || strings.Contains(line, "token_revoked")
		if (strings.Contains(line, "level=WARN") || strings.Contains(line, `"level":"WARN"`)) && !expected || strings.Contains(line, "level=ERROR") {
			t.Errorf("the service complains: %s", line)
		}
	}
}

// TestPagesWorkInACluster pastes what these pages tell people to type, as it stands, into a shell whose
// kubectl reaches a real API server. The service runs outside of the cluster, on the samples. The blocks that
// are marked with the name of the test restore what it removes before them.
func TestPagesWorkInACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the service")
	}
	requireTools(t, "kubectl")
	const (
		awaitAll  = "kubectl -n gatehouse-users wait --for=condition=Ready users.auth.gatehouse.dev --all --timeout=1m"
		removeAll = "kubectl -n gatehouse-users delete revocations.auth.gatehouse.dev,users.auth.gatehouse.dev,secrets --all"
	)
	c := startClusterService(t)
	for _, name := range clusterPages {
		t.Run(name, func(t *testing.T) {
			folder := copyOfRepository(t)
			c.paste(t, folder, "kubectl apply -k config/samples\n"+awaitAll)
			c.paste(t, folder, shellScript(t, name))
			c.paste(t, folder, removeAll)
			if restore := markedScript(t, name, "run: TestPagesWorkInACluster"); restore != "" {
				c.paste(t, folder, restore+awaitAll)
				c.paste(t, folder, removeAll)
			}
		})
	}
}

func requireTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
}

// clusterService is a service that serves the namespaces of a real API server, with the binary on the
// path of its shells.
type clusterService struct{ variables []string }

func startClusterService(t *testing.T) *clusterService {
	t.Helper()
	kubeconfig, programs := apitest.Kubeconfig(t), t.TempDir()
	binary := buildBinary(t, programs)
	if err := os.Symlink(binary, filepath.Join(programs, "kubectl-gatehouse")); err != nil {
		t.Fatal(err)
	}
	c := &clusterService{variables: []string{"KUBECONFIG=" + kubeconfig, "PATH=" + programs + ":" + os.Getenv("PATH")}}
	for _, namespace := range []string{"gatehouse-system", "gatehouse-users"} { // another test may have created them
		c.paste(t, root, "kubectl get namespace "+namespace+" 2>/dev/null || kubectl create namespace "+namespace)
	}
	c.paste(t, root, "kubectl apply --server-side -k config/crd")
	startBinary(t, binary, []string{"KUBECONFIG=" + kubeconfig, "POD_NAMESPACE=gatehouse-system", "POD_NAME=gatehouse-0"},
		"--bind-address", "127.0.0.1:"+freePort(t), "--health-probe-bind-address", "127.0.0.1:"+freePort(t), "--metrics-bind-address", "0")
	return c
}

// paste runs a script, which must succeed.
func (c *clusterService) paste(t *testing.T, folder, script string) {
	t.Helper()
	out := paste(t, folder, "set -eu\n"+script, c.variables...)
	t.Log(cmp.Or(out, "(no output)"))
}

// copyOfRepository returns a folder with the files that a clone would have, so that a page may write
// into it.
func copyOfRepository(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	copying := exec.CommandContext(t.Context(), "sh", "-c",
		`git ls-files --cached --others --exclude-standard -z | tar -c --null -T - --ignore-failed-read | tar -x -C "$0"`, folder)
	copying.Dir = root
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("copy the repository: %v\n%s", err, out)
	}
	return folder
}
