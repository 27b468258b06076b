package e2e

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// report is what was measured, by the row of the table in docs/reliability.md.
type report map[string]string

const (
	tableBegin = "<!-- measured by make e2e-report -->\n"
	tableEnd   = "<!-- end -->\n"
)

// measured notes one figure.
func (r *report) measured(row, format string, args ...any) {
	if *r == nil {
		*r = report{}
	}
	(*r)[row] = fmt.Sprintf(format, args...)
}

// write replaces the rows that were measured, and leaves the others as they are.
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
