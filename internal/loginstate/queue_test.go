package loginstate_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestNotesChangeTheState(t *testing.T) {
	lock := start.Add(30 * time.Minute)
	for name, c := range map[string]struct {
		before loginstate.State
		note   loginstate.Update
		want   loginstate.State
	}{
		"nothing new":                           {loginstate.State{FailedLogins: 3}, loginstate.Update{}, loginstate.State{FailedLogins: 3}},
		"failures add up":                       {loginstate.State{FailedLogins: 3}, loginstate.Update{Failures: 2}, loginstate.State{FailedLogins: 5}},
		"a success forgets what was before":     {loginstate.State{FailedLogins: 3}, loginstate.Update{Cleared: true, Failures: 1}, loginstate.State{FailedLogins: 1}},
		"a success does not end a lock":         {loginstate.State{LockedUntil: lock}, loginstate.Update{Cleared: true}, loginstate.State{LockedUntil: lock}},
		"a lock":                                {loginstate.State{}, loginstate.Update{Failures: 10, LockedUntil: lock}, loginstate.State{FailedLogins: 10, LockedUntil: lock}},
		"a lock gets no shorter":                {loginstate.State{LockedUntil: lock}, loginstate.Update{LockedUntil: start}, loginstate.State{LockedUntil: lock}},
		"the seventieth failure locks for good": {loginstate.State{FailedLogins: 60}, loginstate.Update{Failures: 10, LockedUntil: lock}, loginstate.State{FailedLogins: 70, LockedUntil: loginstate.Forever}},
		"the last token":                        {loginstate.State{LastTokenIssuedAt: start}, loginstate.Update{IssuedAt: lock}, loginstate.State{LastTokenIssuedAt: lock}},
		"an older token":                        {loginstate.State{LastTokenIssuedAt: lock}, loginstate.Update{IssuedAt: start}, loginstate.State{LastTokenIssuedAt: lock}},
	} {
		if got := c.before.Apply(c.note); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// book is a Writer that keeps the state of each user and can be away.
type book struct {
	mu     sync.Mutex
	away   bool
	states map[loginstate.User]loginstate.State
	writes int
}

func (b *book) WriteLogin(_ context.Context, u loginstate.User, n loginstate.Update) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return errors.New("the book is away")
	}
	b.writes++
	b.states[u] = b.states[u].Apply(n)
	return nil
}

func (b *book) setAway(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

func (b *book) read(u loginstate.User) (loginstate.State, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.states[u], b.writes
}

var jean = loginstate.User{Key: "gatehouse-users/jean", UID: "1"}

func inLedger(t *testing.T, f func(*loginstate.Queue, *book)) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{states: map[loginstate.User]loginstate.State{}}
		l := loginstate.New(b, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Start(ctx) }()
		synctest.Wait()
		f(l, b)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestALockIsWrittenAtOnceAndFailuresInBatches(t *testing.T) {
	inLedger(t, func(l *loginstate.Queue, b *book) {
		for range 9 {
			l.Add(jean, loginstate.Update{Failures: 1})
		}
		time.Sleep(time.Second)
		if _, writes := b.read(jean); writes != 0 {
			t.Errorf("%d writes within a second", writes)
		}
		time.Sleep(10 * time.Second)
		if s, writes := b.read(jean); s.FailedLogins != 9 || writes != 1 {
			t.Errorf("%+v after %d writes", s, writes)
		}
		until := time.Now().Add(time.Hour)
		l.Add(jean, loginstate.Update{Failures: 1, LockedUntil: until})
		time.Sleep(100 * time.Millisecond)
		if s, _ := b.read(jean); s.FailedLogins != 10 || !s.LockedUntil.Equal(until) {
			t.Errorf("the lock is not written: %+v", s)
		}
	})
}

func TestIssuesAloneAreWrittenRarely(t *testing.T) {
	inLedger(t, func(l *loginstate.Queue, b *book) {
		for range 1000 {
			l.Add(jean, loginstate.Update{IssuedAt: time.Now()})
		}
		time.Sleep(9 * time.Minute)
		if _, writes := b.read(jean); writes != 0 {
			t.Errorf("%d writes for nothing but tokens", writes)
		}
		time.Sleep(2 * time.Minute)
		if s, writes := b.read(jean); s.LastTokenIssuedAt.IsZero() || writes != 1 {
			t.Errorf("%+v after %d writes", s, writes)
		}
	})
}

func TestWhatCannotBeWrittenIsKeptAndWrittenLater(t *testing.T) {
	inLedger(t, func(l *loginstate.Queue, b *book) {
		b.setAway(true)
		l.Add(jean, loginstate.Update{Failures: 4})
		time.Sleep(15 * time.Second)
		l.Add(jean, loginstate.Update{Failures: 3})
		b.setAway(false)
		time.Sleep(15 * time.Second)
		if s, _ := b.read(jean); s.FailedLogins != 7 {
			t.Errorf("%+v", s)
		}
	})
}

func TestFailuresAreWrittenBeforeTheProcessEnds(t *testing.T) {
	var last *book
	inLedger(t, func(l *loginstate.Queue, b *book) {
		l.Add(jean, loginstate.Update{Failures: 5})
		last = b
	})
	if s, _ := last.read(jean); s.FailedLogins != 5 {
		t.Errorf("%+v", s)
	}
}
