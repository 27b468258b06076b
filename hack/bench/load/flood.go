package load

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

// A flood: so many clients send credentials without pause that are refused, while others check tokens
// at a steady rate, and once a second a user with the right password logs in for the first time.
const (
	guessers  = 64
	probes    = 8                     // connections that check tokens
	probeRate = 20 * time.Millisecond // between two checks on one connection
)

// The addresses that the requests come from, so that the service can tell guessers from newcomers.
const (
	guessersAddress  = "127.0.0.2"
	newcomersAddress = "127.0.0.3"
)

// sample is one checked token: when the check was due, and how long after that the answer came.
type sample struct{ due, took time.Duration }

// attack is what the clients of a flood send.
type attack struct {
	what string // they do
	next func() call
}

// guesses are passwords of users that exist and of some that do not.
func (b *testbed) guesses() attack {
	return attack{"guessing passwords", func() call {
		login := victim(rand.IntN(victims * 5 / 4))                                     //nolint:gosec // guards nothing
		body := fmt.Sprintf(`{"login":%q,"password":"guess-%d"}`, login, rand.Uint64()) //nolint:gosec // as above
		return call{http.MethodPost, "/rbac-api/v1/auth/token", header(jsonType, ""), body}
	}}
}

// forgeries are assertions of keys that their issuer does not have.
func (b *testbed) forgeries() attack {
	return attack{"sending assertions with unknown keys", func() call { return assertCall(b.issuer.forge(rand.Uint64())) }} //nolint:gosec // as above
}

// flood is what a measurement saw before, during and after a flood.
type flood struct {
	what            string        // the clients of the flood did
	begin, end      time.Duration // of the flood
	fetches         int           // of the key of the issuer
	samples         []sample
	answers         map[int]int // by their status
	firstLogins     []time.Duration
	firstLoginsBusy int   // answered with 503
	memory          []int // resident, in bytes, once a second
	errs            []error
}

func (b *testbed) measureFlood(ctx context.Context, a attack) (*flood, error) {
	fmt.Fprintf(os.Stderr, "measuring: clients %s for %s\n", a.what, b.flood)
	f := &flood{what: a.what, begin: b.quiet, end: b.quiet + b.flood, answers: map[int]int{}}
	fetches := b.issuer.fetches.Load()
	total := b.flood + 2*b.quiet
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
			samples, err := b.probe(ctx, start, probeRate*time.Duration(i)/probes)
			fail(err)
			mu.Lock()
			defer mu.Unlock()
			f.samples = append(f.samples, samples...)
		})
	}
	all.Go(func() { f.memory = b.watchMemory(ctx) })
	during, end := context.WithTimeout(ctx, f.end)
	defer end()
	all.Go(func() {
		if !pause(during, b.quiet) {
			return
		}
		var flooding sync.WaitGroup
		var counts [600]atomic.Int64
		for range guessers {
			flooding.Go(func() { fail(ignoreEnd(during, b.attack(during, a, &counts))) })
		}
		flooding.Go(func() { fail(ignoreEnd(during, b.newcomersLogIn(during, f))) })
		flooding.Wait()
		for status := range counts {
			if n := int(counts[status].Load()); n > 0 {
				f.answers[status] = n
			}
		}
	})
	all.Wait()
	f.fetches = int(b.issuer.fetches.Load() - fetches)
	slices.SortFunc(f.samples, func(a, b sample) int { return int(a.due - b.due) })
	return f, errors.Join(f.errs...)
}

// probe checks a token at a steady rate. A check that begins late because the answer before came
// late counts as late: each is timed from when it was due.
func (b *testbed) probe(ctx context.Context, start time.Time, offset time.Duration) ([]sample, error) {
	c := b.toGatehouse.client()
	defer c.hangUp()
	check := expectOK(always(authenticateCall(b.tokens.opaque)))
	var samples []sample
	for due := offset; ; due += probeRate {
		if !pause(ctx, time.Until(start.Add(due))) {
			return samples, nil
		}
		if err := check(ctx, c, 0); err != nil {
			return samples, ignoreEnd(ctx, err)
		}
		samples = append(samples, sample{due, time.Since(start) - due})
	}
}

// attack sends what is refused until the context ends, and counts the answers by status.
func (b *testbed) attack(ctx context.Context, a attack, counts *[600]atomic.Int64) error {
	t := b.toGatehouse
	t.from = guessersAddress
	c := t.client()
	defer c.hangUp()
	for ctx.Err() == nil {
		status, _, err := c.do(ctx, a.next())
		if err != nil {
			return err
		}
		counts[status%len(counts)].Add(1)
	}
	return nil
}

// newcomersLogIn logs in one user after another for the first time, once a second.
func (b *testbed) newcomersLogIn(ctx context.Context, f *flood) error {
	t := b.toGatehouse
	t.from = newcomersAddress
	c := t.client()
	defer c.hangUp()
	for pause(ctx, time.Second) {
		begun := time.Now()
		status, body, err := c.do(ctx, authorizeCall(b.nextNewcomer()))
		switch {
		case err != nil:
			return err
		case status == http.StatusOK:
			f.firstLogins = append(f.firstLogins, time.Since(begun))
		case status == http.StatusServiceUnavailable:
			f.firstLoginsBusy++
		default:
			return fmt.Errorf("a first login was answered with %d: %s", status, body)
		}
	}
	return nil
}

// watchMemory reads the resident memory every second until the context ends.
func (b *testbed) watchMemory(ctx context.Context) []int {
	var sizes []int
	for pause(ctx, time.Second) {
		sizes = append(sizes, b.gatehouse.resident())
	}
	return sizes
}

// percentile returns one of the samples that were due between from and to, and how many there were.
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

// quietPercentile is a percentile without the flood. The first second, which opens connections,
// does not count.
func (f *flood) quietPercentile(p float64) time.Duration {
	took, _ := f.percentile(p, time.Second, f.begin)
	return took
}

// floodedPercentile is a percentile with the flood, from the second in which it begins.
func (f *flood) floodedPercentile(p float64) time.Duration {
	took, _ := f.percentile(p, f.begin, f.end)
	return took
}

// ignoreEnd returns err unless the context has ended, which is then what caused it.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
