package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// The limits of the directory alone.
const (
	limitDirectoryBytes = 1024.0 // a user, at 1,000,000
	limitLookup         = 2.0    // times as long at 1,000,000 as at 1,000
)

// directoryRow is what the benchmarks of internal/directory say about one number of users.
type directoryRow struct {
	Users          int
	Bytes          float64 // a user
	Alone, Crowded float64 // ns for a lookup by login: on one core, and on all while users change
}

// measureDirectory runs the benchmarks.
func measureDirectory(ctx context.Context) ([]directoryRow, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(Lookup|Memory)", "./internal/directory")
	cmd.Stderr = os.Stderr
	progress("measuring the directory alone")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	rows := []directoryRow{{Users: 1000}, {Users: 1000000}}
	for line := range strings.Lines(string(out)) {
		for i := range rows {
			rows[i].read(strings.Fields(line))
		}
	}
	return rows, nil
}

// read takes what a line of go test says about this number of users.
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
	if len(r.Directory) != 2 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nThe directory alone, in process (`go test -bench 'Lookup|Memory' ./internal/directory`):\n\n")
	b.WriteString("| users | bytes a user | lookup by login | on all cores while users change |\n| --- | --- | --- | --- |\n")
	for _, row := range r.Directory {
		fmt.Fprintf(&b, "| %d | %.0f | %.0f ns | %.0f ns |\n", row.Users, row.Bytes, row.Alone, row.Crowded)
	}
	few, many := r.Directory[0], r.Directory[1]
	fmt.Fprintf(&b, "| ratio | | %.2f | %.2f |\n", many.Alone/few.Alone, many.Crowded/few.Crowded)
	fmt.Fprintf(&b, "| limit | %.0f | ratio %.0f | ratio %.0f |\n", limitDirectoryBytes, limitLookup, limitLookup)
	return b.String()
}
