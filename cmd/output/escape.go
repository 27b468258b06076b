package output

import (
	"fmt"
	"strings"
	"unicode"
)

// Escape returns text with escapes for what could change the state of a terminal.
func Escape(text string) string {
	var out strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, "\\u%04x", r)
		}
	}
	return out.String()
}
