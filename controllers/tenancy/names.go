package tenancy

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// mixesScripts reports whether a name has letters of several scripts, or characters that stand for
// others, such as full-width or mathematical letters. Such a name looks like another one, for example
// with a Cyrillic "а" among Latin letters. It is the restriction level "single script" of UTS #39,
// except that Japanese and Korean names, which mix scripts, are refused too. A name that only looks
// like another one within a script, such as "l" and "1", is not found.
func mixesScripts(name string) bool {
	if isASCII(name) {
		return false
	}
	if !norm.NFKC.IsNormalString(name) {
		return true
	}
	var script *unicode.RangeTable
	for _, r := range name {
		if r < unicode.MaxASCII && !unicode.IsLetter(r) || unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		if script == nil {
			script = scriptOf(r)
		}
		if script == nil || !unicode.Is(script, r) {
			return true
		}
	}
	return false
}

// scriptOf returns the script of a character, or nil if it has none.
func scriptOf(r rune) *unicode.RangeTable {
	for _, script := range unicode.Scripts {
		if unicode.Is(script, r) {
			return script
		}
	}
	return nil
}

func isASCII(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII })
}

// lookalikes replaces what people and services confuse within ASCII. The list is short on purpose: it
// guards the few names of --admin-groups.
var lookalikes = strings.NewReplacer( //nolint:gochecknoglobals // a table
	"rn", "m", "vv", "w", "0", "o", "1", "l", "i", "l", "|", "l", "5", "s", "_", "-", ".", "-", " ", "-")

// skeleton returns a text that is the same for names of groups that look alike: it ignores case,
// accents and the characters of lookalikes.
func skeleton(name string) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(strings.ToLower(name)))
	return lookalikes.Replace(plain)
}
