package duration

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "300ms": 300 * time.Millisecond, "1.5h": 90 * time.Minute,
		"1h30m": 90 * time.Minute, "1h30m0s": 90 * time.Minute, "86400s": Day, "1d": Day, "30d": 30 * Day,
		"10y": 10 * Year, "100y": Maximum, "36500d": Maximum, "007d": 7 * Day,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q is %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestParseSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"": errSyntax, "never": errSyntax, "1 h": errSyntax, "1H": errSyntax, "1w": errSyntax, "h": errSyntax, "1h\n": errSyntax,
		"-1h": errSign, "90": errUnit, "1.5": errUnit, "1d12h": errMixed, "1y1d": errMixed, "0.5d": errMixed,
		"101y": errLength, "36501d": errLength, "876001h": errLength, "99999999999999999999y": errLength, "9999999999999h": errLength,
	} {
		if got, err := Parse(text); err == nil || err != want {
			t.Errorf("%q is %s (%v), want the error %q", text, got, err, want)
		}
	}
}

func TestFormatIsShort(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": 0, "90ms": 90 * time.Millisecond, "1m30s": 90 * time.Second, "5m": 5 * time.Minute, "1h": time.Hour,
		"1h30m": 90 * time.Minute, "24h": Day, "30d": 30 * Day, "1y": Year, "10y": 10 * Year, "10m": 10 * time.Minute, "20h": 20 * time.Hour,
	} {
		if got := Format(d); got != want {
			t.Errorf("%s is formatted as %q, want %q", d, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "0", "90s", "1h30m", "30d", "10y", "1.5h", "-1h", "1d12h", "99999999999y", "9223372036854775807ns", "1µs", ".5h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			if d != 0 {
				t.Fatalf("%q is %s and an error", text, d)
			}
			return
		}
		if d < 0 || d > Maximum {
			t.Fatalf("%q is %s", text, d)
		}
		if again, err := Parse(Format(d)); err != nil || again != d {
			t.Fatalf("%q is %s, formatted %q, which is %s (%v)", text, d, Format(d), again, err)
		}
	})
}
