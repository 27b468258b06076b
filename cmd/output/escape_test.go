package output

import "testing"

func TestEscapeLeavesNothingForATerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain ü 漢": "plain ü 漢", "\x1b[2J": `\u001b[2J`, "a\x7fb": `a\u007fb`, "\u009b2J": `\u009b2J`, "a\tb\n": `a\u0009b\u000a`, "\u202eabc": `\u202eabc`,
	} {
		if got := Escape(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
