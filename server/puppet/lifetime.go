package puppet

import (
	"regexp"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
)

// lifetimePattern is the grammar of lifetimes in this API: a whole number and one unit of those of
// package duration, or no unit for seconds.
// https://help.puppet.com/pe/current/topics/rbac_token_auth_token_lifetime.htm
var lifetimePattern = regexp.MustCompile(`^([0-9]+)([ydhms]?)$`)

// parseLifetime parses a lifetime. A year has 365 days. 0 means the longest lifetime allowed, and
// so does a number that is too large to count. ok is false if text does not match the grammar.
func parseLifetime(text string) (lifetime time.Duration, ok bool) {
	m := lifetimePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	unit := map[string]time.Duration{"y": duration.Year, "d": duration.Day, "h": time.Hour, "m": time.Minute, "s": time.Second, "": time.Second}[m[2]]
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n == 0 || time.Duration(n) > grant.Longest/unit {
		return grant.Longest, true
	}
	return time.Duration(n) * unit, true
}
