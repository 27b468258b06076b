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

// house is a service that stands alone, as far as its directory.
type house struct {
	t         testing.TB
	dir       string // of manifests
	store     *statedir.Store
	records   *standalone.Records
	directory *directory.Directory
	log       *logged
	stop      func()
}

// newHouse starts on a new folder with these files, by name.
func newHouse(t testing.TB, files map[string]string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	for name, text := range files {
		h.write(name, text)
	}
	h.start()
	return h
}

// start starts the service on what is in the folder. It stops with the test.
func (h *house) start() {
	h.t.Helper()
	h.log = &logged{}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	store, err := statedir.Open(filepath.Join(h.dir, ".gatehouse"), log)
	must(h.t, err)
	h.store, h.directory = store, directory.New()
	h.records = standalone.NewRecords(store, h.directory, log, time.Now)
	m, err := standalone.New(standalone.Config{
		Dir: h.dir, Store: store, Records: h.records, Directory: h.directory,
		Keyer: password.NewKeyer(), Log: log, Now: time.Now,
	})
	must(h.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Start(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("the manifests ended with %v", err)
		}
		if err := store.Close(); err != nil {
			h.t.Error(err)
		}
	})
	h.t.Cleanup(h.stop)
	h.eventually("the directory is synced", h.directory.HasSynced)
}

// restart stops the service and starts it again on the same folders.
func (h *house) restart() {
	h.t.Helper()
	h.stop()
	h.start()
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

// write writes a file the way kubectl-minded people do: whole, by renaming.
func (h *house) write(name, text string) {
	h.t.Helper()
	temporary := h.path("." + name + ".tmp")
	must(h.t, os.WriteFile(temporary, []byte(text), 0o600))
	must(h.t, os.Rename(temporary, h.path(name)))
}

func (h *house) remove(name string) {
	h.t.Helper()
	must(h.t, os.Remove(h.path(name)))
}

// logsIn says whether a login has this password.
func (h *house) logsIn(login, secret string) bool {
	u, ok := h.directory.ByLogin(login)
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

func (h *house) user(login string) *directory.User {
	h.t.Helper()
	u, ok := h.directory.ByLogin(login)
	if !ok {
		h.t.Fatalf("there is no user %s", login)
	}
	return u
}

func (h *house) known(login string) bool {
	_, ok := h.directory.ByLogin(login)
	return ok
}

func (h *house) eventually(what string, holds func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			h.t.Fatalf("it does not come about that %s; the log says\n%s", what, h.log)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// says waits for a line of the log that has all these words.
func (h *house) says(words ...string) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("the log says %q", words), func() bool { return h.log.count(words...) > 0 })
}

// logged is a log that can be read while it is written.
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

// account is a User with one plaintext password and its Secret.
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

// userWith is a User with these lines below its spec.
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
