package logging_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/logging"
)

func TestFileContinuesAfterRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f := openFile(t, path)
	fmt.Fprintln(f, "one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "two")
	wantContent(t, path+".1", "one\n")
	wantContent(t, path, "two\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, "")
	fmt.Fprintln(f, "three")
	wantContent(t, path, "three\n")
}

func TestFileIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte("old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(openFile(t, path), "new")
	wantContent(t, path, "old\nnew\n")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dir, os.DevNull, filepath.Join(dir, "missing", "audit.log")} {
		if _, err := logging.OpenFile(path); err == nil {
			t.Errorf("%s was opened", path)
		}
	}
}

func openFile(t *testing.T, path string) *logging.File {
	t.Helper()
	f, err := logging.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s has %q (%v), want %q", path, got, err, want)
	}
}
