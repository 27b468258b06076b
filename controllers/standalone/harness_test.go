package standalone_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// service is a standalone service up to its directory, without a server.
type service struct {
	t         testing.TB
	dir       string // of the manifests
	store     *statedir.Store
	records   *standalone.Records
	directory *directory.Directory
	log       *logged
	stop      func()
}

// newService starts a service on a new folder that has these files, by name.
func newService(t testing.TB, files map[string]string) *service {
	t.Helper()
	s := &service{t: t, dir: t.TempDir()}
	for name, text := range files {
		s.write(name, text)
	}
	s.start()
	return s
}

// start starts the service on the folder as it is and waits for its directory. The service stops
// with the test.
func (s *service) start() {
	s.t.Helper()
	s.log = &logged{}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	store, err := statedir.Open(filepath.Join(s.dir, ".gatehouse"), log)
	must(s.t, err)
	s.store, s.directory = store, directory.New()
	s.records = standalone.NewRecords(store, s.directory, log, time.Now)
	m, err := standalone.New(standalone.Config{
		Dir: s.dir, Store: store, Records: s.records, Directory: s.directory,
		Keyer: password.NewKeyer(), Log: log, Now: time.Now,
	})
	must(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Start(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Start: %v", err)
		}
		if err := store.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
	s.eventually("the directory is synced", s.directory.HasSynced)
}

// restart stops the service and starts it again on the same folder.
func (s *service) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

// write replaces a file of the folder atomically, by renaming.
func (s *service) write(name, text string) {
	s.t.Helper()
	temporary := s.path("." + name + ".tmp")
	must(s.t, os.WriteFile(temporary, []byte(text), 0o600))
	must(s.t, os.Rename(temporary, s.path(name)))
}

func (s *service) remove(name string) {
	s.t.Helper()
	must(s.t, os.Remove(s.path(name)))
}

// logsIn reports whether a login has this password.
func (s *service) logsIn(login, secret string) bool {
	u, ok := s.directory.ByLogin(login)
	if !ok {
		return false
	}
	for _, p := range u.Credentials.Passwords {
		if p.Hash.Verify([]byte(secret)) {
			return true
		}
	}
	return false
}

// user returns the user with a login, or fails the test.
func (s *service) user(login string) *directory.User {
	s.t.Helper()
	u, ok := s.directory.ByLogin(login)
	if !ok {
		s.t.Fatalf("no user has the login %s", login)
	}
	return u
}

// known reports whether a user has this login.
func (s *service) known(login string) bool {
	_, ok := s.directory.ByLogin(login)
	return ok
}

// eventually waits until a condition holds, or fails the test and prints the log.
func (s *service) eventually(what string, holds func() bool) {
	s.t.Helper()
	timeout := time.After(30 * time.Second)
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-timeout:
			s.t.Fatalf("timed out waiting: %s; log:\n%s", what, s.log)
		}
	}
}

// logs waits for a line of the log that has all these words.
func (s *service) logs(words ...string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("the log has a line with %q", words), func() bool { return s.log.count(words...) > 0 })
}

// logged is the output of a logger. It can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// count returns how many lines have all these words.
func (l *logged) count(words ...string) int {
	n := 0
line:
	for line := range strings.Lines(l.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue line
			}
		}
		n++
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// account returns the manifest of a User with one plaintext password, and of its Secret.
func account(name, secret string) string {
	return fmt.Sprintf(`apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: %[1]s}
spec:
  passwords:
  - plaintextFrom: {secretKeyRef: {name: %[1]s, key: password}}
---
apiVersion: v1
kind: Secret
metadata: {name: %[1]s}
stringData: {password: %[2]s}
`, name, secret)
}

// userWith returns the manifest of a User with these lines as its spec.
func userWith(name, spec string) string {
	return "apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: " + name + "}\nspec:\n  " +
		strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ") + "\n"
}

func bcryptOf(t testing.TB, secret string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	must(t, err)
	return string(h)
}
