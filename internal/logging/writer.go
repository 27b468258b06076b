package logging

import (
	"io"
	"sync"
	"time"
)

// Delay is the longest time that a Writer holds what it was given.
const Delay = 10 * time.Millisecond

// maximumPending is how many bytes may be pending. Callers who write more wait until there is room:
// a Writer drops nothing.
const maximumPending = 1 << 20

// Writer is an io.Writer that passes what it is given to another one, in order and within Delay.
// Without it, a log with a few lines for each request would cost a system call for each line.
// Create it with NewWriter, and call Flush before the process ends. It is safe for concurrent use.
type Writer struct {
	out io.Writer

	mu      sync.Mutex
	room    sync.Cond // on mu; pending has room again
	pending []byte
	spare   []byte
	due     bool // a flush is scheduled

	flushing sync.Mutex // held while Flush writes to out, so that batches keep their order; taken before mu
}

// NewWriter returns a Writer that writes to out.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out}
	w.room.L = &w.mu
	return w
}

// Write takes p. It never returns an error, because out is written only later.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > maximumPending {
		w.room.Wait()
	}
	w.pending = append(w.pending, p...)
	if !w.due {
		w.due = true
		time.AfterFunc(Delay, w.Flush)
	}
	return len(p), nil
}

// Flush writes everything that is pending to out.
func (w *Writer) Flush() {
	w.flushing.Lock()
	defer w.flushing.Unlock()
	w.mu.Lock()
	batch := w.pending
	w.pending, w.spare, w.due = w.spare[:0], nil, false
	w.mu.Unlock()
	if len(batch) > 0 {
		_, _ = w.out.Write(batch) // there is nowhere to report that the log cannot be written
	}
	w.mu.Lock()
	w.spare = batch
	w.mu.Unlock()
	w.room.Broadcast()
}
