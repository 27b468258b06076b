package record

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// run enters a lane for a user, takes a second there and notes the user.
func run(t *testing.T, l *lane, user string, admin bool, done func(string)) {
	leave, err := l.enter(context.Background(), user, admin)
	if err != nil {
		t.Error(err)
		return
	}
	<-time.After(time.Second)
	done(user)
	leave()
}

func TestLaneTakesTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lane{slots: 2}
		var mu sync.Mutex
		var order []string
		done := func(user string) { mu.Lock(); defer mu.Unlock(); order = append(order, user) }
		for range 400 {
			go run(t, l, "mallory", false, done)
		}
		synctest.Wait()
		start := time.Now()
		for range 3 {
			go run(t, l, "alice", false, done)
		}
		go run(t, l, "root", true, done)
		<-time.After(10 * time.Second)
		synctest.Wait()
		mu.Lock()
		served := slices.Clone(order)
		mu.Unlock()
		for user, want := range map[string]int{"alice": 3, "root": 1} {
			if n := len(slices.DeleteFunc(slices.Clone(served), func(u string) bool { return u != user })); n != want {
				t.Errorf("%s was served %d times within %s behind 400 operations of another user, want %d", user, n, time.Since(start), want)
			}
		}
		<-time.After(400 * time.Second)
		synctest.Wait()
		if l.running != 0 || len(l.queues) != 0 || len(l.admins) != 0 || len(l.others) != 0 {
			t.Errorf("an idle lane holds %+v", l)
		}
	})
}

func TestLaneKeepsReserveForAdministrators(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lane{slots: 3, reserve: 1}
		for i := range 20 {
			go run(t, l, strconv.Itoa(i), false, func(string) {})
		}
		synctest.Wait()
		if l.running != 3 {
			t.Errorf("%d operations run, want 3", l.running)
		}
		start := time.Now()
		run(t, l, "root", true, func(string) {})
		if took := time.Since(start); took != time.Second {
			t.Errorf("an administrator waited for %s", took-time.Second)
		}
		<-time.After(time.Minute)
	})
}

func TestLaneRunsOneOperationOfAUserAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lane{slots: 100}
		var served atomic.Int32
		for range 10 {
			go run(t, l, "alice", false, func(string) { served.Add(1) })
		}
		<-time.After(5500 * time.Millisecond)
		if n := served.Load(); n != 5 {
			t.Errorf("%d operations in 5 s, want 5", n)
		}
		<-time.After(time.Minute)
	})
}

func TestLaneForgetsThoseWhoHangUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lane{slots: 1}
		go run(t, l, "mallory", false, func(string) {})
		synctest.Wait()
		for i := range 10 {
			for range 3 {
				go func() {
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
					defer cancel()
					if _, err := l.enter(ctx, strconv.Itoa(i%5), i%2 == 0); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
				}()
			}
		}
		<-time.After(100 * time.Millisecond)
		start := time.Now()
		run(t, l, "alice", false, func(string) {})
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("a turn behind operations that were given up took %s", took)
		}
		synctest.Wait()
		if l.running != 0 || len(l.queues) != 0 || len(l.admins) != 0 || len(l.others) != 0 {
			t.Errorf("an idle lane holds %+v", l)
		}
	})
}
