package authn_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// fixture is a password authenticator with a clock that can be moved and ears for what it tells
// others.
type fixture struct {
	*authn.Password
	directory *directory.Directory
	waited    atomic.Int64
	computed  atomic.Int64

	mu      sync.Mutex
	now     time.Time
	events  []audit.Event
	updates []loginstate.Update
}

func newFixture(change func(*authn.PasswordConfig)) *fixture {
	h := &fixture{directory: directory.New(), now: start}
	h.directory.MarkSynced()
	c := authn.PasswordConfig{
		Directory: h.directory, Observer: h, Now: h.clock,
		Audit: func(_ context.Context, e audit.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		},
		LoginUpdated: func(_ *directory.User, n loginstate.Update) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.updates = append(h.updates, n)
		},
		CacheTTL: 10 * time.Minute, LockAfter: 10, LockDuration: 30 * time.Minute, HashConcurrency: 2,
	}
	if change != nil {
		change(&c)
	}
	h.Password = authn.NewPassword(c)
	return h
}

func (h *fixture) HashWaited(time.Duration)   { h.waited.Add(1) }
func (h *fixture) HashComputed(time.Duration) { h.computed.Add(1) }

func (h *fixture) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *fixture) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *fixture) reported() []loginstate.Update {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.updates)
}

// login returns the error of one login.
func (h *fixture) login(login, password string) error {
	_, err := h.Authenticate(context.Background(), login, password)
	return err
}

// loginFrom returns the error of one login from an address.
func (h *fixture) loginFrom(address, login, password string) error {
	ctx := audit.WithRequest(context.Background(), audit.Request{Source: netip.MustParseAddr(address)})
	_, err := h.Authenticate(ctx, login, password)
	return err
}

// put gives a user with these passwords to the directory.
func (h *fixture) put(t testing.TB, login string, passwords ...directory.Password) *directory.User {
	t.Helper()
	u := &directory.User{
		Key: "gatehouse-users/" + login, UID: "uid-of-" + login, Login: login,
		Credentials: &directory.Credentials{Revision: fmt.Sprintf("%p", passwords), Passwords: passwords},
	}
	h.directory.Put(u)
	return u
}

// change puts a changed copy of a user, as a controller does when the object changes and its
// credentials do not.
func (h *fixture) change(u *directory.User, change func(*directory.User)) *directory.User {
	next := *u
	change(&next)
	h.directory.Put(&next)
	return &next
}

func bcrypt4(t testing.TB, plain string) directory.Password {
	t.Helper()
	encoded, err := password.Generate([]byte(plain), password.Parameters{Format: password.Bcrypt, Cost: 4})
	if err != nil {
		t.Fatal(err)
	}
	return directory.Password{Hash: parse(t, encoded)}
}

func parse(t testing.TB, encoded string) *password.Hash {
	t.Helper()
	h, err := password.Parse(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// bcrypt10 is a hash of "password" made by htpasswd -nbBC 10.
const bcrypt10 = "$2y$10$c8PZoWk6G.7lH9jpG1eZ2Orm0viPYInFcjQifo5Y6hMuvjabqdtyK"
