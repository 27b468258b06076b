package serve

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folderOptions returns the options of a service on a folder, with free ports.
func folderOptions(manifests, stateDir string) *Options {
	o := NewOptions()
	o.Manifests, o.StateDir, o.PrintCurl = manifests, stateDir, ""
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return o
}

func TestMissingManifestsAreAnErrorAtOnce(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	file := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(home, "TYPO"): "no such folder",
		file:                        "is a file; name the folder that it is in",
	} {
		if err := folderOptions(path, "").Validate(); err == nil || !strings.Contains(err.Error(), "--manifests "+path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if written, err := os.ReadDir(home); err != nil || len(written) != 0 {
		t.Errorf("the refusal has written %v, %v", written, err)
	}
}

func TestAllFaultsOfFlagsShowAtOnce(t *testing.T) {
	t.Parallel()
	o := NewOptions()
	o.SigningAlgorithm, o.LogFormat, o.LogLevel, o.IssuerURL, o.TrustedProxies = "HS256", "xml", "loud", "x", []string{"a", "b"}
	err := o.Validate()
	for _, want := range []string{"HS256", "xml", "loud", "--issuer-url", `"a"`, `"b"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestTakenPortsNameFlagAndWayOut(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := folderOptions(t.TempDir(), t.TempDir())
	o.HealthProbeBindAddress, o.MetricsBindAddress = taken.Addr().String(), taken.Addr().String()
	_, err = New(o, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatal("a port that is taken is no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, flag := range []string{"--health-probe-bind-address", "--metrics-bind-address"} {
		want := "cannot listen on " + flag + " " + taken.Addr().String() + ": address already in use; stop the program that uses it, or choose another address"
		if len(lines) != 2 || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of %q does not begin with %q", i, lines, want)
		}
	}
}

func TestStateFolderInsideAWorkTreeIsLogged(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	if err := os.Mkdir(filepath.Join(tree, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	for stateDir, want := range map[string]bool{filepath.Join(tree, "state"): true, filepath.Join(t.TempDir(), "state"): false} {
		var log bytes.Buffer
		o := folderOptions(t.TempDir(), stateDir)
		app, err := New(o, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		store, err := app.openState()
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		app.Close()
		if strings.Contains(log.String(), "inside a git work tree") != want {
			t.Errorf("%s: the log is %q", stateDir, log.String())
		}
	}
}
