package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The flood: so many clients guess passwords without pause, of users that exist and of some that do not, while others check
// tokens at a steady rate and once a second somebody who has every right to logs in for the first time.
const (
	guessers  = 64
	probes    = 8                     // connections that check tokens
	probeRate = 20 * time.Millisecond // between two checks on one connection
)

// The addresses that the requests come from, so that the service sees who is who.
const (
	guessersAddress  = "127.0.0.2"
	newcomersAddress = "127.0.0.3"
)

// sample is one checked token: when it was due, and how long after that it was answered.
type sample struct{ due, took time.Duration }

// flood is what was measured before, during and after a flood of guesses.
type flood struct {
	begin, end      time.Duration // of the guesses
	samples         []sample
	guesses         map[int]int // by status
	firstLogins     []time.Duration
	firstLoginsBusy int // told 503
	memory          []int
	errs            []error
}

func (w *world) measureFlood(ctx context.Context) (*flood, error) {
	fmt.Fprintf(os.Stderr, "measuring: flood of guesses for %s\n", w.flood)
	f := &flood{begin: w.quiet, end: w.quiet + w.flood, guesses: map[int]int{}}
	total := w.flood + 2*w.quiet
	ctx, cancel := context.WithTimeout(ctx, total)
	defer cancel()
	start := time.Now()

	var mu sync.Mutex
	fail := func(err error) {
		if err != nil && ctx.Err() == nil {
			mu.Lock()
			defer mu.Unlock()
			f.errs = append(f.errs, err)
		}
	}
	var all sync.WaitGroup
	for i := range probes {
		all.Go(func() {
			samples, err := w.probe(ctx, start, probeRate*time.Duration(i)/probes)
			fail(err)
			mu.Lock()
			defer mu.Unlock()
			f.samples = append(f.samples, samples...)
		})
	}
	all.Go(func() { f.memory = w.watchMemory(ctx) })
	during, end := context.WithTimeout(ctx, f.end)
	defer end()
	all.Go(func() {
		if !sleep(during, w.quiet) {
			return
		}
		var flooding sync.WaitGroup
		var counts [600]atomic.Int64
		for range guessers {
			flooding.Go(func() { fail(ignoreEnd(during, w.guess(during, &counts))) })
		}
		flooding.Go(func() { fail(ignoreEnd(during, w.newcomersLogIn(during, f))) })
		flooding.Wait()
		for status := range counts {
			if n := int(counts[status].Load()); n > 0 {
				f.guesses[status] = n
			}
		}
	})
	all.Wait()
	slices.SortFunc(f.samples, func(a, b sample) int { return int(a.due - b.due) })
	return f, errors.Join(f.errs...)
}

// probe checks a token at a steady rate. What is late because the answer before was late counts as late.
func (w *world) probe(ctx context.Context, start time.Time, offset time.Duration) ([]sample, error) {
	c := w.toGatehouse.client()
	defer c.hangUp()
	a := expect(always(authenticateCall(w.tokens.opaque)))
	var out []sample
	for due := offset; ; due += probeRate {
		if !sleep(ctx, time.Until(start.Add(due))) {
			return out, nil
		}
		if err := a(ctx, c, 0); err != nil {
			return out, ignoreEnd(ctx, err)
		}
		out = append(out, sample{due, time.Since(start) - due})
	}
}

func (w *world) guess(ctx context.Context, counts *[600]atomic.Int64) error {
	t := w.toGatehouse
	t.from = guessersAddress
	c := t.client()
	defer c.hangUp()
	for ctx.Err() == nil {
		login := victim(rand.IntN(victims * 5 / 4))                                     //nolint:gosec // guards nothing
		body := fmt.Sprintf(`{"login":%q,"password":"guess-%d"}`, login, rand.Uint64()) //nolint:gosec // as above
		status, _, err := c.do(ctx, call{http.MethodPost, "/rbac-api/v1/auth/token", header(jsonType, ""), body})
		if err != nil {
			return err
		}
		counts[status%len(counts)].Add(1)
	}
	return nil
}

func (w *world) newcomersLogIn(ctx context.Context, f *flood) error {
	t := w.toGatehouse
	t.from = newcomersAddress
	c := t.client()
	defer c.hangUp()
	for sleep(ctx, time.Second) {
		begun := time.Now()
		status, body, err := c.do(ctx, authorizeCall(w.aNewcomer()))
		switch {
		case err != nil:
			return err
		case status == http.StatusOK:
			f.firstLogins = append(f.firstLogins, time.Since(begun))
		case status == http.StatusServiceUnavailable:
			f.firstLoginsBusy++
		default:
			return fmt.Errorf("a first login was answered %d: %s", status, body)
		}
	}
	return nil
}

// watchMemory notes the resident memory every second.
func (w *world) watchMemory(ctx context.Context) []int {
	var out []int
	for sleep(ctx, time.Second) {
		out = append(out, w.gatehouse.resident())
	}
	return out
}

// percentile of the samples that were due in a time, and how many there were.
func (f *flood) percentile(p float64, from, to time.Duration) (time.Duration, int) {
	var took []time.Duration
	for _, s := range f.samples {
		if s.due >= from && s.due < to {
			took = append(took, s.took)
		}
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(p*float64(len(took))))], len(took)
}

// quiet and flooded are percentiles without and with the flood. The second in which it begins counts as flooded.
func (f *flood) quiet(p float64) time.Duration {
	took, _ := f.percentile(p, time.Second, f.begin)
	return took
}

func (f *flood) flooded(p float64) time.Duration {
	took, _ := f.percentile(p, f.begin, f.end)
	return took
}

// sleep says whether the context still lives after a while.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// ignoreEnd returns an error unless it came because the context had ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
