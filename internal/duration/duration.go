// Package duration is the grammar of durations in flags, in Users and in the APIs: a Go duration
// such as 90s or 1h30m, or a whole number of days or years such as 30d or 10y. A day has 24 hours
// and a year 365 days.
package duration

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The units that Go durations lack.
const (
	Day  = 24 * time.Hour
	Year = 365 * Day
)

// Maximum is the longest duration that Parse accepts.
const Maximum = 100 * Year

// maximumLength bounds the text of a duration, which may come from a client or a manifest.
const maximumLength = 64

var (
	errSyntax = errors.New("must be a duration such as 90s, 1h30m, 30d or 10y")
	errSign   = errors.New("must not be negative")
	errUnit   = errors.New("needs a unit, such as 90s, 90m, 30d or 10y")
	errMixed  = errors.New("must not combine days or years with other units: write 36h, not 1d12h")
	errLength = errors.New("must not be longer than 100 years")
)

var (
	daysOrYears = regexp.MustCompile(`^([0-9]+)([dy])$`)
	number      = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	mixed       = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(y|d|h|m|s|ms|us|ns))+$`)
)

// Parse parses a duration from 0 to Maximum. Its errors complete a sentence that begins with the
// name of the value.
func Parse(text string) (time.Duration, error) {
	switch {
	case len(text) > maximumLength:
		return 0, errSyntax
	case strings.HasPrefix(text, "-"):
		return 0, errSign
	case text != "0" && number.MatchString(text):
		return 0, errUnit
	}
	if m := daysOrYears.FindStringSubmatch(text); m != nil {
		unit := Day
		if m[2] == "y" {
			unit = Year
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n > int64(Maximum/unit) {
			return 0, errLength
		}
		return time.Duration(n) * unit, nil
	}
	return parseGo(text)
}

// parseGo parses a Go duration.
func parseGo(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil && d > Maximum:
		return 0, errLength
	case err == nil:
		return d, nil
	case mixed.MatchString(text) && strings.ContainsAny(text, "dy"):
		return 0, errMixed
	case mixed.MatchString(text): // of the right form, so it overflows
		return 0, errLength
	}
	return 0, errSyntax
}

// Format returns the shortest text of d that Parse reads back as d: 10y, 30d, 24h, 1h30m, 90s.
func Format(d time.Duration) string {
	switch {
	case d > 0 && d%Year == 0:
		return strconv.FormatInt(int64(d/Year), 10) + "y"
	case d > Day && d%Day == 0:
		return strconv.FormatInt(int64(d/Day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Value is a flag that holds a duration. It implements the interface Value of the package pflag.
type Value time.Duration

// Set sets the flag to the duration that text represents.
func (v *Value) Set(text string) error {
	d, err := Parse(text)
	if err != nil {
		return err
	}
	*v = Value(d)
	return nil
}

// String returns the value as Set reads it.
func (v *Value) String() string { return Format(time.Duration(*v)) }

// Type returns the name of the type in the help.
func (v *Value) Type() string { return "duration" }
