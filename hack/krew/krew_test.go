package krew

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const (
	root    = "../.."
	version = "v0.0.1"
)

// run runs a command in a folder with additional environment, and returns what it prints.
func run(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustRun(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, env, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// archives builds the archives for this machine and returns their folder.
func archives(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	mustRun(t, root, nil, "go", "run", "./hack/archives", "build", version, dir, runtime.GOOS+"/"+runtime.GOARCH)
	return dir
}

// manifest writes the manifest for the archives in a folder and returns its path.
func manifest(t *testing.T, dir string) string {
	t.Helper()
	mustRun(t, root, nil, "go", "run", "./hack/archives", "krew", version, dir, "https://example.com/releases")
	return filepath.Join(dir, "gatehouse.yaml")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestKrewAcceptsTheManifestOfAllPlatforms(t *testing.T) {
	dir := t.TempDir()
	for _, platform := range []string{"linux_amd64.tar.gz", "linux_arm64.tar.gz", "darwin_amd64.tar.gz", "darwin_arm64.tar.gz", "windows_amd64.zip", "windows_arm64.zip"} {
		if err := os.WriteFile(filepath.Join(dir, "kubectl-gatehouse_"+platform), []byte(platform), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := manifest(t, dir)
	out := mustRun(t, ".", nil, "go", "tool", "validate-krew-manifest", "-skip-install", "-manifest", path)
	if !strings.Contains(out, "no overlapping spec.platform") {
		t.Errorf("krew says %q", out)
	}
	text := string(read(t, path))
	if strings.Count(text, "sha256:") != 6 || strings.Count(text, "bin: kubectl-gatehouse.exe") != 2 || !strings.Contains(text, "uri: https://example.com/releases/kubectl-gatehouse_linux_amd64.tar.gz") {
		t.Errorf("the manifest does not name the six archives:\n%s", text)
	}
}

func TestKrewRefusesAManifestWithoutAVersion(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kubectl-gatehouse_linux_amd64.tar.gz"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := manifest(t, dir)
	if err := os.WriteFile(path, bytes.Replace(read(t, path), []byte("version: "+version), []byte("version: dev"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, ".", nil, "go", "tool", "validate-krew-manifest", "-skip-install", "-manifest", path); err == nil {
		t.Errorf("krew accepts the version dev: %s", out)
	}
}

func TestKrewInstallsThePlugin(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("krew makes symbolic links, which need a privilege on Windows")
	}
	dir, home := archives(t), t.TempDir()
	archive := filepath.Join(dir, "kubectl-gatehouse_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz")
	mustRun(t, ".", []string{"KREW_ROOT=" + home}, "go", "tool", "krew", "install", "--manifest", manifest(t, dir), "--archive", archive)
	installed := filepath.Join(home, "bin", "kubectl-gatehouse")
	if out := mustRun(t, ".", nil, installed, "version"); !strings.Contains(out, version) {
		t.Errorf("the installed plugin says %q, want version %s", out, version)
	}
	if out := mustRun(t, ".", nil, installed, "user", "--help"); !strings.Contains(out, "kubectl gatehouse user") {
		t.Errorf("the installed program is not the plugin: %q", out)
	}
	if found, err := filepath.Glob(filepath.Join(home, "store", "gatehouse", version, "LICENSE")); err != nil || len(found) != 1 {
		t.Errorf("the plugin comes without its licence: %v, %v", found, err)
	}
}

func TestArchivesAreReproducible(t *testing.T) {
	one, another := read(t, filepath.Join(archives(t), "SHA256SUMS")), read(t, filepath.Join(archives(t), "SHA256SUMS"))
	if !bytes.Equal(one, another) || bytes.Count(one, []byte("\n")) != 2 {
		t.Errorf("two builds give\n%s\nand\n%s", one, another)
	}
}
