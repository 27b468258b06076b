package session

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestConcurrentEditsLoseNoContext(t *testing.T) {
	t.Parallel()
	s := Store{Dir: filepath.Join(t.TempDir(), "new", "folder")}
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var group sync.WaitGroup
	for _, name := range names {
		group.Go(func() {
			if err := s.Put(Context{Name: name, Server: "https://" + name}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	config, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if c, err := config.Find(name); err != nil || c.Server != "https://"+name {
			t.Errorf("context %s: got %v and error %v", name, c, err)
		}
	}
}

func TestNamesOfContextsCannotLeaveTheFolder(t *testing.T) {
	t.Parallel()
	s := Store{Dir: t.TempDir()}
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "-x", strings.Repeat("a", 64), "a\n"} {
		if err := s.Put(Context{Name: name}); err == nil {
			t.Errorf("a context may be called %q, want an error", name)
		}
	}
}

func TestUnreadableFilesAreReportedWithTheirPath(t *testing.T) {
	t.Parallel()
	s := Store{Dir: t.TempDir()}
	for path, text := range map[string]string{s.configPath(): "contexts: 7", s.tokenPath("x"): "{}"} {
		if err := WriteSecret(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Config(); err == nil || !strings.Contains(err.Error(), s.configPath()) {
		t.Errorf("got error %v, want one with the path", err)
	}
	if _, err := s.Token("x"); err == nil || !strings.Contains(err.Error(), s.tokenPath("x")) {
		t.Errorf("got error %v, want one with the path", err)
	}
	if err := os.WriteFile(s.tokenPath("x"), make([]byte, maximumFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token("x"); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("got error %v for a huge file, want its size", err)
	}
	if _, err := s.Token("y"); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("got error %v for no file, want ErrNotLoggedIn", err)
	}
}

func TestTokenNeedsRenewalInTheLastFifthOfItsLife(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	token := Token{Created: created, Expires: created.Add(100 * time.Minute)}
	for age, want := range map[time.Duration]bool{
		0: false, 80 * time.Minute: false, 80*time.Minute + time.Second: true, 2 * time.Hour: true,
	} {
		if got := token.NeedsRenewal(created.Add(age)); got != want {
			t.Errorf("after %s: got %t, want %t", age, got, want)
		}
	}
}
