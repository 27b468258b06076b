package logging

import (
	"io"
	"sync"
	"time"
)

// Delay is how long a piece waits for others at most before it is passed on.
const Delay = 10 * time.Millisecond

// maximumPending is how much may wait in bytes. Whoever writes more waits until there is room: nothing is dropped.
const maximumPending = 1 << 20

// Writer is an io.Writer that passes what it is given on to another one, in order, within Delay. A log of a few lines for each
// request would otherwise cost a system call for each line. Create it with NewWriter, and call Flush before the process
// ends. It is safe for concurrent use.
type Writer struct {
	out io.Writer

	mu      sync.Mutex
	room    sync.Cond // there is some again; on mu
	pending []byte
	spare   []byte
	due     bool // a flush is on its way

	passing sync.Mutex // held while out is written, so that batches keep their order; taken before mu
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: out}
	w.room.L = &w.mu
	return w
}

// Write takes p. It never returns an error: what out says of it comes too late.
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

// Flush passes on what has been written so far.
func (w *Writer) Flush() {
	w.passing.Lock()
	defer w.passing.Unlock()
	w.mu.Lock()
	batch := w.pending
	w.pending, w.spare, w.due = w.spare[:0], nil, false
	w.mu.Unlock()
	if len(batch) > 0 {
		_, _ = w.out.Write(batch) // a log that cannot be written has nowhere to say so
	}
	w.mu.Lock()
	w.spare = batch
	w.mu.Unlock()
	w.room.Broadcast()
}
