package e2e

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// report is what the run measured, by the name of the row in the table of docs/reliability.md.
type report map[string]string

const (
	tableBegin = "<!-- measured by make e2e-report -->\n"
	tableEnd   = "<!-- end -->\n"
)

// record keeps the figure of one row.
func (r *report) record(row, format string, args ...any) {
	if *r == nil {
		*r = report{}
	}
	(*r)[row] = fmt.Sprintf(format, args...)
}

// write replaces the figures of the recorded rows in a file and leaves the other rows as they are.
// An empty path writes nothing.
func (r *report) write(path string) error {
	if path == "" {
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(raw), tableBegin)
	table, after, closed := strings.Cut(rest, tableEnd)
	if !found || !closed {
		return fmt.Errorf("%s has no table between %q and %q", path, tableBegin, tableEnd)
	}
	var out strings.Builder
	when := time.Now().UTC().Format(time.DateOnly)
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) == 6 {
			if figure, ok := (*r)[strings.TrimSpace(cells[1])]; ok {
				line = fmt.Sprintf("|%s|%s| %s | %s, %s |\n", cells[1], cells[2], figure, when, os.Getenv("E2E_CONDITIONS"))
			}
		}
		out.WriteString(line)
	}
	return os.WriteFile(path, []byte(before+tableBegin+out.String()+tableEnd+after), 0o644)
}
