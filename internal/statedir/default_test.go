package statedir

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestDefaultFolderIsOutsideTheManifests(t *testing.T) {
	home, users := t.TempDir(), filepath.Join(t.TempDir(), "users")
	t.Setenv("XDG_STATE_HOME", home)
	mustMake(t, users)
	dir, err := Default(users)
	if err != nil || dir != filepath.Join(home, "gatehouse", "users") {
		t.Fatalf("got %s, %v", dir, err)
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 0 {
		t.Errorf("Default has written %v, %v", entries, err)
	}
	if err := Claim(dir, users); err != nil {
		t.Fatal(err)
	}
	if again, err := Default(users); err != nil || again != dir {
		t.Errorf("the second time it is %s, %v", again, err)
	}

	other := filepath.Join(t.TempDir(), "users")
	mustMake(t, other)
	if theirs, err := Default(other); err != nil || theirs == dir || filepath.Dir(theirs) != filepath.Dir(dir) {
		t.Errorf("another folder of the same name has %s, %v", theirs, err)
	}

	t.Setenv("XDG_STATE_HOME", "relative, so it does not count")
	t.Setenv("HOME", home)
	if dir, err := Default(users); err != nil || dir != filepath.Join(home, ".local", "state", "gatehouse", "users") {
		t.Errorf("without XDG_STATE_HOME it is %s, %v", dir, err)
	}
	t.Setenv("HOME", "")
	if _, err := Default(users); err == nil {
		t.Error("without any home there is a default")
	}
}

func TestNewFolderIsHiddenFromGit(t *testing.T) {
	t.Parallel()
	made := filepath.Join(t.TempDir(), "state")
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{made, used} {
		store, err := Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(made, ".gitignore")); err != nil || string(text) != "*\n" {
		t.Errorf(".gitignore is %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(used, ".gitignore")); err == nil {
		t.Error("a folder with other files has got a .gitignore")
	}
}

func TestWorkTree(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(root, "a", "b")
	mustMake(t, inside)
	if tree := WorkTree(inside); tree != "" {
		t.Errorf("found %s", tree)
	}
	if err := os.WriteFile(filepath.Join(root, ".git"), []byte("gitdir: elsewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if tree := WorkTree(inside); tree != root {
		t.Errorf("found %q, want %s", tree, root)
	}
}

func mustMake(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
