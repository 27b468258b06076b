// Command bench measures how near the service comes to what the machine allows: the binary is started on its own, as its users
// start it, and asked over TLS by this process, in turn with a server that does nothing but answer. Only what was measured in
// one run is compared.
//
//	go run ./hack/bench -gatehouse bin/gatehouse -report docs/benchmarks.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// plan is what is to be measured, and for how long.
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

func main() {
	if len(os.Args) > 1 && os.Args[1] == bareCommand {
		exit(serveBare(os.Args[2:]))
	}
	var p plan
	flag.StringVar(&p.binary, "gatehouse", "bin/gatehouse", "the binary to measure")
	flag.StringVar(&p.report, "report", "", "the page to write the table into, between its markers; a plot goes beside it")
	flag.DurationVar(&p.window, "window", time.Second, "length of one measurement")
	flag.IntVar(&p.rounds, "rounds", 7, "how often a row and its limit take turns; the median counts")
	flag.IntVar(&p.connections, "connections", 32, "connections that are kept busy")
	flag.DurationVar(&p.quiet, "quiet", 15*time.Second, "time before and after the flood of guesses")
	flag.DurationVar(&p.flood, "flood", 30*time.Second, "length of the flood of guesses")
	flag.StringVar(&p.only, "only", "", "measure only the rows whose name contains this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(p.run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // a command of its own
	}
	os.Exit(0) //nolint:forbidigo // as above
}

func (p plan) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w, err := newWorld(ctx, p, dir)
	if err != nil {
		return err
	}
	defer w.stop()

	var r results
	err = w.measure(ctx, &r)
	r.machine = describe(ctx, p.binary)
	fmt.Print(r.markdown()) // what was measured, also when something went wrong after it
	if err != nil || p.report == "" {
		return err
	}
	return r.write(p.report, filepath.Join(filepath.Dir(p.report), "benchmarks-flood.svg"))
}

func (w *world) measure(ctx context.Context, r *results) (err error) {
	if r.rows, err = w.measureRows(ctx); err != nil {
		return err
	}
	if w.only == "" || w.only == "flood" {
		if r.flood, err = w.measureFlood(ctx); err != nil {
			return err
		}
	}
	if w.only == "" || w.only == "profile" {
		r.profiles, err = w.profile(ctx)
	}
	return err
}
