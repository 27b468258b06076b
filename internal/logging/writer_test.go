package logging_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/logging"
)

// sink counts how often it is written to, and may be made to block.
type sink struct {
	mu     sync.Mutex
	writes int
	text   bytes.Buffer
	closed chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	if s.closed != nil {
		<-s.closed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return s.text.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestLinesAreBatchedWithinDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &sink{}
		w := logging.NewWriter(out)
		for i := range 100 {
			fmt.Fprintf(w, "line %d\n", i)
		}
		<-time.After(logging.Delay)
		synctest.Wait()
		if lines := strings.Count(out.String(), "\n"); lines != 100 || out.writes != 1 {
			t.Errorf("%d lines in %d writes, want 100 in 1", lines, out.writes)
		}
		fmt.Fprintln(w, "one more")
		<-time.After(logging.Delay)
		synctest.Wait()
		if !strings.HasSuffix(out.String(), "line 99\none more\n") {
			t.Errorf("the line after a batch has not come: %q", out.String()[len(out.String())-20:])
		}
	})
}

func TestFlushWritesPending(t *testing.T) {
	t.Parallel()
	out := &sink{}
	w := logging.NewWriter(out)
	fmt.Fprint(w, "last words")
	w.Flush()
	if got := out.String(); got != "last words" {
		t.Errorf("%q", got)
	}
}

func TestSlowOutputLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &sink{closed: make(chan struct{})}
		w := logging.NewWriter(out)
		line := strings.Repeat("x", 1023) + "\n"
		const lines = 5000 // more than may wait
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range lines {
				fmt.Fprint(w, line)
			}
		}()
		<-time.After(logging.StallTime / 2)
		select {
		case <-done:
			t.Fatal("five megabytes were taken in")
		default:
		}
		close(out.closed)
		<-done
		w.Flush()
		if got := strings.Count(out.String(), line); got != lines || w.Err() != nil {
			t.Errorf("%d lines and error %v, want %d", got, w.Err(), lines)
		}
	})
}

func TestBlockedOutputHoldsNoOneUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &sink{closed: make(chan struct{})}
		log, w, err := logging.New(out, "json", "info")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		text := strings.Repeat("x", 1000)
		const lines = 5000 // more than may wait
		for range lines {
			log.Info(text)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("the lines took %v", took)
		}
		if w.Err() == nil {
			t.Error("no error after a second")
		}
		if err := w.Close(); err == nil || time.Since(start) > 2*time.Second {
			t.Errorf("Close returned %v after %v", err, time.Since(start))
		}
		close(out.closed)
		<-time.After(logging.Delay)
		w.Flush()
		<-time.After(logging.Delay)
		var lost int
		last := strings.TrimSpace(out.String())
		last = last[strings.LastIndexByte(last, '\n')+1:]
		_, number, _ := strings.Cut(last, `"lines":`)
		if _, err := fmt.Sscanf(number, "%d}", &lost); err != nil || lost+strings.Count(out.String(), text) != lines || lost == 0 {
			t.Errorf("%d lines of %d, and last %s (%v)", strings.Count(out.String(), text), lines, last, err)
		}
		if err := w.Err(); err != nil {
			t.Errorf("after the output works again: %v", err)
		}
	})
}

func TestFailingOutputIsAnError(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	out := failing{err: &full}
	w := logging.NewWriter(out)
	fmt.Fprintln(w, "one")
	w.Flush()
	if err := w.Err(); !errors.Is(err, full) {
		t.Errorf("Err() = %v, want %v", err, full)
	}
	full = nil
	fmt.Fprintln(w, "two")
	w.Flush()
	if err := w.Err(); err != nil {
		t.Errorf("Err() = %v after a success", err)
	}
}

type failing struct{ err *error }

func (f failing) Write(p []byte) (int, error) { return len(p), *f.err }

func TestLinesOfManyWritersStayWhole(t *testing.T) {
	t.Parallel()
	out := &sink{}
	w := logging.NewWriter(out)
	var all sync.WaitGroup
	for writer := range 8 {
		all.Go(func() {
			for i := range 2000 {
				fmt.Fprintf(w, "%d %d\n", writer, i)
			}
		})
	}
	all.Wait()
	w.Flush()
	next := [8]int{}
	for line := range strings.Lines(out.String()) {
		var writer, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &writer, &i); err != nil || next[writer] != i {
			t.Fatalf("%q after %d (%v)", line, next[writer], err)
		}
		next[writer]++
	}
}
