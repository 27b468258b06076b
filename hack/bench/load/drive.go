package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// window is what one measurement counted.
type window struct {
	requests int
	elapsed  time.Duration
	cpu      time.Duration // of the server
}

func (w window) perSecond() float64 { return float64(w.requests) / w.elapsed.Seconds() }

// cost is the server's processor time for one request.
func (w window) cost() time.Duration { return w.cpu / time.Duration(max(1, w.requests)) }

// errDone ends a window early: there is nothing left to ask.
var errDone = errors.New("done")

// ask makes one call. It returns errDone when there is none left.
type ask func(ctx context.Context, c *client, worker int) error

// expectOK returns an ask for calls that the server must answer with 200.
func expectOK(next func(worker int) *call) ask {
	return func(ctx context.Context, c *client, worker int) error {
		what := next(worker)
		if what == nil {
			return errDone
		}
		status, body, err := c.do(ctx, *what)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, body)
		}
		return err
	}
}

// always repeats one call.
func always(what call) func(int) *call { return func(int) *call { return &what } }

// eachOnce makes every call once, by whichever worker is free.
func eachOnce(calls []call) func(int) *call {
	var next atomic.Int64
	return func(int) *call {
		if i := int(next.Add(1)) - 1; i < len(calls) {
			return &calls[i]
		}
		return nil
	}
}

// load is the clients of one server.
type load struct {
	server  *process
	clients []*client
}

// drive keeps the clients busy for d, or until there is nothing left to ask.
func (l load) drive(ctx context.Context, d time.Duration, a ask) (window, error) {
	var count atomic.Int64
	var stop atomic.Bool
	errs := make([]error, len(l.clients))
	cpu, start := l.server.cpu(), time.Now()
	timer := time.AfterFunc(d, func() { stop.Store(true) })
	defer timer.Stop()
	var all sync.WaitGroup
	for i, c := range l.clients {
		all.Go(func() {
			for !stop.Load() {
				if errs[i] = a(ctx, c, i); errs[i] != nil {
					return
				}
				count.Add(1)
			}
		})
	}
	all.Wait()
	w := window{int(count.Load()), time.Since(start), l.server.cpu() - cpu}
	for _, err := range errs {
		if err != nil && !errors.Is(err, errDone) {
			return w, err
		}
	}
	return w, nil
}
