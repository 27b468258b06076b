// Package load measures how near the service comes to what the machine allows. It starts the binary
// as users start it and asks it over TLS from this process, in turn with a server that does nothing
// but answer. Only figures of one run are compared.
package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// plan is what to measure, and for how long.
type plan struct {
	binary      string
	report      string
	window      time.Duration // of one measurement; a row and its limit take turns
	rounds      int           // how often they do
	connections int
	quiet       time.Duration // before and after the flood
	flood       time.Duration
	only        string
}

// Run measures what the flags in args ask for, prints the report, and writes it where -report says.
func Run(ctx context.Context, args []string) error {
	p, err := parsePlan(args)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

func parsePlan(args []string) (plan, error) {
	var p plan
	f := flag.NewFlagSet("bench run", flag.ContinueOnError)
	f.StringVar(&p.binary, "gatehouse", "bin/gatehouse", "the binary to measure")
	f.StringVar(&p.report, "report", "", "page to write the table into, between its markers; a plot goes beside it")
	f.DurationVar(&p.window, "window", time.Second, "length of one measurement")
	f.IntVar(&p.rounds, "rounds", 7, "how often a row and its limit take turns; the median counts")
	f.IntVar(&p.connections, "connections", 32, "connections that are kept busy")
	f.DurationVar(&p.quiet, "quiet", 15*time.Second, "time before and after a flood")
	f.DurationVar(&p.flood, "flood", 30*time.Second, "length of a flood")
	f.StringVar(&p.only, "only", "", "measure only the rows whose name contains this")
	return p, f.Parse(args)
}

func (p plan) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := newTestbed(ctx, p, dir)
	if err != nil {
		return err
	}
	defer b.stop()

	var r results
	err = b.measure(ctx, &r)
	r.origin = origin(ctx, p.binary)
	fmt.Print(r.markdown()) // also when something failed later: what was measured until then holds
	if err != nil || p.report == "" {
		return err
	}
	return r.write(p.report, filepath.Join(filepath.Dir(p.report), "benchmarks-flood.svg"))
}

// measure fills in the results, as far as it comes before an error.
func (b *testbed) measure(ctx context.Context, r *results) (err error) {
	if r.rows, err = b.measureRows(ctx); err != nil {
		return err
	}
	if b.only == "" || b.only == "flood" {
		if r.flood, err = b.measureFlood(ctx, b.guesses()); err != nil {
			return err
		}
		if r.forged, err = b.measureFlood(ctx, b.forgeries()); err != nil {
			return err
		}
	}
	if b.only == "" || b.only == "profile" {
		r.profiles, err = b.profile(ctx)
	}
	return err
}
