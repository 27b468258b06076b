package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ReplaceSection replaces what a page has between two markers, each a whole line, with text. The
// rest of the page stays as it is.
func ReplaceSection(page, begin, end, text string) error {
	old, err := os.ReadFile(filepath.Clean(page))
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(old), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has no section between %q and %q; add both lines where the figures belong",
			page, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return os.WriteFile(page, []byte(before+begin+text+end+after), 0o644) //nolint:gosec // a page for all
}
