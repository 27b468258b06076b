package load

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/bench/machine"
)

// results is everything that one run measured.
type results struct {
	origin   string // when, where and with what it was measured
	rows     []row
	flood    *flood // of guesses
	forged   *flood // of assertions
	profiles profiles
}

// The markers between which the page belongs to this command.
const (
	beginMark = "<!-- begin requests: written by make bench -->\n"
	endMark   = "<!-- end requests -->\n"
)

// origin describes when, where and with what a run measures.
func origin(ctx context.Context, binary string) string {
	version, _ := exec.CommandContext(ctx, binary, "--version").Output()
	return fmt.Sprintf("%s, %s; %s; %s", time.Now().UTC().Format("2006-01-02 15:04 MST"),
		strings.TrimSpace(string(version)), machine.Describe(), runtime.Version())
}

// markdown is the section of docs/benchmarks.md.
func (r results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s.\n\n", r.origin)
	if len(r.rows) > 0 {
		b.WriteString("| row | held against | a second | limit a second | reached | must | of both in one process | server's CPU for one request | bare |\n")
		b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	}
	for _, row := range r.rows {
		row.write(&b)
	}
	for _, f := range []*flood{r.flood, r.forged} {
		if f != nil {
			f.write(&b)
		}
	}
	if r.profiles.cpu != "" {
		fmt.Fprintf(&b, "\nCPU, requests of all kinds that need no hash in turn:\n\n```\n%s\n```\n\nBytes allocated since the start:\n\n```\n%s\n```\n",
			r.profiles.cpu, r.profiles.allocations)
	}
	return b.String()
}

// write adds the line of the row to the table.
func (r row) write(b *strings.Builder) {
	cost, bare := "", ""
	if c := r.bareCost(); c > 0 {
		cost, bare = fmt.Sprintf("%.0f µs", r.cost()), fmt.Sprintf("%.0f µs", c)
	}
	joint := ""
	if r.rounds[0].joint.requests > 0 {
		joint = fmt.Sprintf("%.0f %%", 100*r.median(round.jointRatio))
	}
	reached := r.median(round.ratio)
	fmt.Fprintf(b, "| %s | %s | %.0f | %.0f | %s | %.0f %% | %s | %s | %s |\n", r.name, r.limit,
		r.median(func(one round) float64 { return one.got.perSecond() }),
		r.median(func(one round) float64 { return one.limit }), verdict(reached >= r.must, fmt.Sprintf("%.0f %%", 100*reached)),
		100*r.must, joint, cost, bare)
}

// verdict marks a figure that misses its limit.
func verdict(met bool, text string) string {
	if met {
		return text
	}
	return "**" + text + ", missed**"
}

// write adds the table of the flood, and what the table has no columns for.
func (f *flood) write(b *strings.Builder) {
	before, during := f.quietPercentile(.99), f.floodedPercentile(.99)
	fmt.Fprintf(b, "\n| `authenticate`, %d a second, %d clients %s for %s | without | with | must |\n| --- | ---: | ---: | ---: |\n",
		int(probes*time.Second/probeRate), guessers, f.what, f.end-f.begin)
	for _, p := range []float64{.5, .99, .999} {
		must := ""
		got := milliseconds(f.floodedPercentile(p))
		if p == .99 {
			must = "under 25 ms, at most 5 times"
			got = verdict(during < 25*time.Millisecond && during <= 5*before, got)
		}
		fmt.Fprintf(b, "| p%g | %s | %s | %s |\n", 100*p, milliseconds(f.quietPercentile(p)), got, must)
	}
	var statuses []string
	for status, n := range f.answers {
		statuses = append(statuses, fmt.Sprintf("%d answered %d", n, status))
	}
	slices.Sort(statuses)
	fmt.Fprintf(b, "\nThe flood: %s; fetches of the issuer's key: %d. First logins of others meanwhile: %d, the slowest after %s",
		strings.Join(statuses, ", "), f.fetches, len(f.firstLogins), milliseconds(slices.Max(append(f.firstLogins, 0))))
	fmt.Fprintf(b, "; %d were told 503 with Retry-After. Resident memory: %s.\n", f.firstLoginsBusy, f.memoryText())
}

// memoryText describes how memory went, in MiB: before, and the largest of each fifth of the flood.
func (f *flood) memoryText() string {
	mib := func(n int) string { return fmt.Sprintf("%d", n>>20) }
	samplesUntil := func(d time.Duration) int { return min(len(f.memory), int(d.Seconds())) }
	begin, end := samplesUntil(f.begin), samplesUntil(f.end)
	if begin == 0 || end <= begin {
		return "not measured"
	}
	parts := []string{mib(f.memory[begin-1])}
	for i := range 5 {
		from, to := begin+i*(end-begin)/5, begin+(i+1)*(end-begin)/5
		if to > from {
			parts = append(parts, mib(slices.Max(f.memory[from:to])))
		}
	}
	return parts[0] + " MiB before, then at most " + strings.Join(parts[1:], ", ") + " MiB in the fifths of the flood"
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// write puts the table between the markers of a page, and the plot into the file plot.
func (r results) write(page, plot string) error {
	if err := machine.ReplaceSection(page, beginMark, endMark, r.markdown()); err != nil {
		return err
	}
	if r.flood == nil {
		return nil
	}
	return os.WriteFile(plot, []byte(r.flood.plot()), 0o644) //nolint:gosec // a plot for all
}
