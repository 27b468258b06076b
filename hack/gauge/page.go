package gauge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ReplaceSection puts a text between two markers, each a line of a page, in the place of what is there. The rest of the page
// stays.
func ReplaceSection(page, begin, end, text string) error {
	old, err := os.ReadFile(filepath.Clean(page))
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(old), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has no section between %q and %q", page, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return os.WriteFile(page, []byte(before+begin+text+end+after), 0o644) //nolint:gosec // a page for all
}
