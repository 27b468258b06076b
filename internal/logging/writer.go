package logging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Delay is the longest time that a Writer holds what it was given.
const Delay = 10 * time.Millisecond

// StallTime is how long one write to the output may take until the output counts as blocked.
const StallTime = 500 * time.Millisecond

// closeTime is how long Close waits for the output.
const closeTime = time.Second

// maximumPending is how many bytes may be pending. Callers who write more wait until there is room,
// but not for a blocked output.
const maximumPending = 1 << 20

// Writer is an io.Writer that passes what it is given to another one, in order and within Delay.
// Without it, a log with a few lines for each request would cost a system call for each line. A slow
// output slows its callers down and loses nothing. An output that blocks or fails holds no one up: the
// Writer drops what it has no room for, counts it, and says so in Err. Create it with NewWriter, and
// call Close before the process ends. It is safe for concurrent use.
type Writer struct {
	out        io.Writer
	reportLost func(writes int) // writes a line about lost ones once the output works again; may be nil

	mu      sync.Mutex
	room    sync.Cond // on mu; pending has room again, or the output is blocked
	pending []byte
	spare   []byte
	due     bool // a flush is scheduled
	stalled bool // the current write to out has taken longer than StallTime
	err     error
	lost    int // writes since the last report

	flushing chan struct{} // holds a value while Flush writes to out, so that batches keep their order; taken before mu
}

// NewWriter returns a Writer that writes to out.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out, flushing: make(chan struct{}, 1)}
	w.room.L = &w.mu
	return w
}

// Write takes p. It never returns an error, because out is written only later.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > maximumPending {
		if w.stalled {
			w.lost++
			return len(p), nil
		}
		w.room.Wait()
	}
	w.pending = append(w.pending, p...)
	if !w.due {
		w.due = true
		time.AfterFunc(Delay, w.Flush)
	}
	return len(p), nil
}

// Err returns an error while the output is blocked, or if the last write to it failed.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled {
		return errors.New("the output is blocked")
	}
	return w.err
}

// Flush writes everything that is pending to out.
func (w *Writer) Flush() {
	w.flushing <- struct{}{}
	defer func() { <-w.flushing }()
	w.mu.Lock()
	batch := w.pending
	w.pending, w.spare, w.due = w.spare[:0], nil, false
	w.mu.Unlock()
	var err error
	if len(batch) > 0 {
		alarm := time.AfterFunc(StallTime, w.stall)
		if _, err = w.out.Write(batch); err != nil {
			err = fmt.Errorf("write: %w", err)
		}
		alarm.Stop()
	}
	w.written(batch, err)
}

// stall makes callers stop waiting for the current write to the output.
func (w *Writer) stall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalled = true
	w.room.Broadcast()
}

// written notes the end of a write to the output.
func (w *Writer) written(batch []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spare, w.stalled = batch, false
	if len(batch) > 0 {
		w.err = err
	}
	if err != nil {
		w.lost += bytes.Count(batch, []byte{'\n'})
	} else if lost := w.lost; lost > 0 && w.reportLost != nil {
		w.lost = 0
		go w.reportLost(lost) // which writes to w
	}
	w.room.Broadcast()
}

// Close writes everything that is pending, unless the output is blocked.
func (w *Writer) Close() error {
	done := make(chan struct{})
	go func() { defer close(done); w.Flush() }()
	select {
	case <-done:
	case <-time.After(closeTime):
	}
	return w.Err()
}
