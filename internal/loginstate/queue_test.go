package loginstate_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestApply(t *testing.T) {
	t.Parallel()
	lock := start.Add(30 * time.Minute)
	for name, c := range map[string]struct {
		before loginstate.State
		update loginstate.Update
		want   loginstate.State
	}{
		"nothing new":                          {loginstate.State{FailedLogins: 3}, loginstate.Update{}, loginstate.State{FailedLogins: 3}},
		"failures add up":                      {loginstate.State{FailedLogins: 3}, loginstate.Update{Failures: 2}, loginstate.State{FailedLogins: 5}},
		"a success forgets what was before":    {loginstate.State{FailedLogins: 3}, loginstate.Update{Cleared: true, Failures: 1}, loginstate.State{FailedLogins: 1}},
		"a success does not end a lock":        {loginstate.State{LockedUntil: lock}, loginstate.Update{Cleared: true}, loginstate.State{LockedUntil: lock}},
		"a lock":                               {loginstate.State{}, loginstate.Update{Failures: 10, LockedUntil: lock}, loginstate.State{FailedLogins: 10, LockedUntil: lock}},
		"a lock gets no shorter":               {loginstate.State{LockedUntil: lock}, loginstate.Update{LockedUntil: start}, loginstate.State{LockedUntil: lock}},
		"the hundredth failure locks for good": {loginstate.State{FailedLogins: 90}, loginstate.Update{Failures: 10, LockedUntil: lock}, loginstate.State{FailedLogins: 100, LockedUntil: loginstate.Forever}},
		"the last token":                       {loginstate.State{LastTokenIssuedAt: start}, loginstate.Update{IssuedAt: lock}, loginstate.State{LastTokenIssuedAt: lock}},
		"an older token":                       {loginstate.State{LastTokenIssuedAt: lock}, loginstate.Update{IssuedAt: start}, loginstate.State{LastTokenIssuedAt: lock}},
	} {
		if got := c.before.Apply(c.update); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// writer is a Writer that keeps the state of each user and can fail.
type writer struct {
	mu      sync.Mutex
	failing bool
	states  map[loginstate.User]loginstate.State
	writes  int
}

func (w *writer) WriteLogin(_ context.Context, u loginstate.User, n loginstate.Update) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing {
		return errors.New("the writer fails")
	}
	w.writes++
	w.states[u] = w.states[u].Apply(n)
	return nil
}

func (w *writer) setFailing(failing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = failing
}

func (w *writer) read(u loginstate.User) (loginstate.State, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states[u], w.writes
}

var jean = loginstate.User{Key: "gatehouse-users/jean", UID: "1"}

func runQueue(t *testing.T, f func(*loginstate.Queue, *writer)) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{states: map[loginstate.User]loginstate.State{}}
		q := loginstate.New(w, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- q.Start(ctx) }()
		synctest.Wait()
		f(q, w)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestLocksAtOnceAndFailuresInBatches(t *testing.T) {
	t.Parallel()
	runQueue(t, func(q *loginstate.Queue, w *writer) {
		for range 9 {
			q.Add(jean, loginstate.Update{Failures: 1})
		}
		<-time.After(time.Second)
		if _, writes := w.read(jean); writes != 0 {
			t.Errorf("%d writes within a second", writes)
		}
		<-time.After(10 * time.Second)
		if s, writes := w.read(jean); s.FailedLogins != 9 || writes != 1 {
			t.Errorf("%+v after %d writes", s, writes)
		}
		until := time.Now().Add(time.Hour)
		q.Add(jean, loginstate.Update{Failures: 1, LockedUntil: until})
		<-time.After(100 * time.Millisecond)
		if s, _ := w.read(jean); s.FailedLogins != 10 || !s.LockedUntil.Equal(until) {
			t.Errorf("the lock is not written: %+v", s)
		}
	})
}

func TestIssuesAreWrittenRarely(t *testing.T) {
	t.Parallel()
	runQueue(t, func(q *loginstate.Queue, w *writer) {
		for range 1000 {
			q.Add(jean, loginstate.Update{IssuedAt: time.Now()})
		}
		<-time.After(9 * time.Minute)
		if _, writes := w.read(jean); writes != 0 {
			t.Errorf("%d writes for nothing but tokens", writes)
		}
		<-time.After(2 * time.Minute)
		if s, writes := w.read(jean); s.LastTokenIssuedAt.IsZero() || writes != 1 {
			t.Errorf("%+v after %d writes", s, writes)
		}
	})
}

func TestFailedWriteIsRetried(t *testing.T) {
	t.Parallel()
	runQueue(t, func(q *loginstate.Queue, w *writer) {
		w.setFailing(true)
		q.Add(jean, loginstate.Update{Failures: 4})
		<-time.After(15 * time.Second)
		q.Add(jean, loginstate.Update{Failures: 3})
		w.setFailing(false)
		<-time.After(15 * time.Second)
		if s, _ := w.read(jean); s.FailedLogins != 7 {
			t.Errorf("%+v", s)
		}
	})
}

func TestIssuesAreWrittenAtShutdown(t *testing.T) {
	t.Parallel()
	var last *writer
	runQueue(t, func(q *loginstate.Queue, w *writer) {
		for i := range 300 {
			q.Add(loginstate.User{Key: "gatehouse-users/jean", UID: strconv.Itoa(i)}, loginstate.Update{IssuedAt: start})
		}
		last = w
	})
	if len(last.states) != 300 {
		t.Errorf("the times of the last tokens of %d users are written, want 300", len(last.states))
	}
}

func TestFailuresAreWrittenAtShutdown(t *testing.T) {
	t.Parallel()
	var last *writer
	runQueue(t, func(q *loginstate.Queue, w *writer) {
		q.Add(jean, loginstate.Update{Failures: 5})
		last = w
	})
	if s, _ := last.read(jean); s.FailedLogins != 5 {
		t.Errorf("%+v", s)
	}
}

// slowWriter takes a while for each write, and for ever for one user.
type slowWriter struct {
	writer
	stuck loginstate.User
}

func (w *slowWriter) WriteLogin(ctx context.Context, u loginstate.User, n loginstate.Update) error {
	if u == w.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(100 * time.Millisecond)
	return w.writer.WriteLogin(ctx, u, n)
}

func TestLockOvertakesEveryOtherUpdate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := loginstate.User{Key: "gatehouse-users/stuck", UID: "stuck"}
		w := &slowWriter{writer: writer{states: map[loginstate.User]loginstate.State{}}, stuck: stuck}
		q := loginstate.New(w, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- q.Start(ctx) }()
		q.Add(stuck, loginstate.Update{Failures: 1})
		for i := range 5000 {
			q.Add(loginstate.User{Key: "gatehouse-users/other", UID: strconv.Itoa(i)}, loginstate.Update{Failures: 1})
		}
		<-time.After(11 * time.Second) // the batch has begun
		until := time.Now().Add(time.Hour)
		q.Add(jean, loginstate.Update{Failures: 1, LockedUntil: until})
		<-time.After(time.Second)
		if s, writes := w.read(jean); !s.LockedUntil.Equal(until) {
			t.Errorf("after a second and %d other writes, the lock is not written: %+v", writes, s)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestUrgentUpdateOfUserBeingWrittenIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{writer: writer{states: map[loginstate.User]loginstate.State{}}}
		q := loginstate.New(w, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- q.Start(ctx) }()
		q.Add(jean, loginstate.Update{Failures: 1})
		<-time.After(10*time.Second + 50*time.Millisecond) // in the middle of the write
		q.Add(jean, loginstate.Update{Failures: 1, Urgent: true})
		<-time.After(time.Second)
		if s, writes := w.read(jean); s.FailedLogins != 2 || writes != 2 {
			t.Errorf("%+v after %d writes", s, writes)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
