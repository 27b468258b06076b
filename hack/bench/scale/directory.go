package scale

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// The limits for the directory alone.
const (
	limitDirectoryBytes = 1024.0 // a user, at 1,000,000
	limitLookup         = 2.0    // times as long at 1,000,000 as at 1,000
)

// directoryRow is what the benchmarks of internal/directory measure at one number of users.
type directoryRow struct {
	Users          int
	Bytes          float64 // a user
	Alone, Crowded float64 // ns for a lookup by login: on one core, and on all while users change
}

// directoryReport is all that they measure.
type directoryReport struct {
	Rows []directoryRow
	Miss float64 // ns for one access to memory that no cache holds
}

// measureDirectory runs the benchmarks of internal/directory in the current folder, the
// repository's root.
func measureDirectory(ctx context.Context) (*directoryReport, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(Lookup|Memory|CacheMiss)", "./internal/directory")
	cmd.Stderr = os.Stderr
	logProgress("measuring the directory alone")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	r := &directoryReport{Rows: []directoryRow{{Users: 1000}, {Users: 1000000}}}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for i := range r.Rows {
			r.Rows[i].read(fields)
		}
		if len(fields) > 2 && strings.HasPrefix(fields[0], "BenchmarkCacheMiss") {
			r.Miss, _ = strconv.ParseFloat(fields[2], 64) // go test writes a number there
		}
	}
	return r, nil
}

// read takes the figures from a line of go test that is about this number of users.
func (r *directoryRow) read(fields []string) {
	if len(fields) < 4 || !strings.Contains(fields[0]+"-", fmt.Sprintf("/users=%d-", r.Users)) { // the number of cores follows
		return
	}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return
		}
		switch unit := fields[i+1]; {
		case unit == "B/user":
			r.Bytes = value
		case unit == "ns/op" && strings.HasPrefix(fields[0], "BenchmarkLookupWhileUsersChange/"):
			r.Crowded = value
		case unit == "ns/op" && strings.HasPrefix(fields[0], "BenchmarkLookup/"):
			r.Alone = value
		}
	}
}

func (r *report) directoryTable() string {
	if r.Directory == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nThe directory alone, in process (`go test -bench 'Lookup|Memory|CacheMiss' ./internal/directory`):\n\n")
	b.WriteString("| users | bytes a user | lookup by login | on all cores while users change |\n| --- | --- | --- | --- |\n")
	for _, row := range r.Directory.Rows {
		fmt.Fprintf(&b, "| %d | %.0f | %.0f ns | %.0f ns |\n", row.Users, row.Bytes, row.Alone, row.Crowded)
	}
	few, many := r.Directory.Rows[0], r.Directory.Rows[1]
	fmt.Fprintf(&b, "| ratio | | %.2f | %.2f |\n", many.Alone/few.Alone, many.Crowded/few.Crowded)
	fmt.Fprintf(&b, "| limit | %.0f | ratio %.0f | ratio %.0f |\n", limitDirectoryBytes, limitLookup, limitLookup)
	fmt.Fprintf(&b, "\nOne access to memory that no cache holds takes %.0f ns on this machine (`BenchmarkCacheMiss`). A lookup among a "+
		"million users makes several, one after the other: for the table, the login and the user. A lookup among a thousand makes "+
		"none.\n", r.Directory.Miss)
	return b.String()
}
