package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lifetime is a duration of at least one second, as Go writes it or as a number of days: "90s",
// "1h30m", "30d". A day has 24 hours.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^([1-9][0-9]{0,4}d|([0-9]{1,10}(\.[0-9]{1,9})?(h|m|s|ms|us|ns))+)$') && (self.endsWith('d') || duration(self) >= duration('1s'))`,message="must be a duration of at least 1s, such as 90s, 1h30m or 30d"
type Lifetime string

// Duration returns the length of the lifetime, or an error if the text is not a lifetime.
func (l Lifetime) Duration() (time.Duration, error) {
	if days, ok := strings.CutSuffix(string(l), "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > 99999 {
			return 0, fmt.Errorf("%q is not a number of days up to 99999", string(l))
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(string(l))
}

// UnmarshalText implements encoding.TextUnmarshaler. It refuses what is not a lifetime, so that a
// stored object that breaks the schema is noticed when it is read.
func (l *Lifetime) UnmarshalText(text []byte) error {
	if _, err := Lifetime(text).Duration(); err != nil {
		return err
	}
	*l = Lifetime(text)
	return nil
}
