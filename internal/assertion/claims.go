package assertion

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
)

// Claims are what a good assertion says. They are an immutable value.
type Claims struct {
	Issuer  string
	Subject string
	Cluster bool // Issuer is that of the cluster's ServiceAccounts

	audience  []string
	expiresAt time.Time
	notBefore time.Time // zero: not given
	issuedAt  time.Time
	texts     map[string]string // the claims that are strings
}

// Text returns a claim that is a string.
func (c Claims) Text(name string) (string, bool) {
	text, ok := c.texts[name]
	return text, ok
}

// The longest claims that are kept for comparison, in bytes: those that the schema of User allows.
const (
	maximumName = 4 * 253
	maximumText = 4 * 1024
)

// latestTime bounds times, in seconds since 1970, so that arithmetic with them cannot overflow.
const latestTime = 1 << 40

// parseClaims reads the claims of an assertion (RFC 7519, 4.1). iss, sub, aud, exp and iat are
// required.
func parseClaims(payload []byte) (Claims, error) {
	object, err := strictjson.ParseObject(payload)
	if err != nil {
		return Claims{}, Malformed
	}
	c := Claims{texts: map[string]string{}}
	for name, value := range object {
		if text, ok := strictjson.String(value); ok && len(name) <= maximumName && len(text) <= maximumText {
			c.texts[name] = text
		}
	}
	c.Issuer, c.Subject, c.audience = c.texts["iss"], c.texts["sub"], parseAudience(object["aud"])
	var validTimes [3]bool
	c.expiresAt, validTimes[0] = parseTime(object["exp"])
	c.issuedAt, validTimes[1] = parseTime(object["iat"])
	c.notBefore, validTimes[2] = parseTime(object["nbf"])
	_, hasNotBefore := object["nbf"]
	if c.Issuer == "" || c.Subject == "" || !validTimes[0] || !validTimes[1] || validTimes[2] != hasNotBefore {
		return Claims{}, Malformed
	}
	return c, nil
}

// parseAudience returns the audience, which is a string or a list of strings. It returns nil for
// everything else.
func parseAudience(value json.RawMessage) []string {
	if one, ok := strictjson.String(value); ok {
		return []string{one}
	}
	var list []string
	if len(value) == 0 || json.Unmarshal(value, &list) != nil {
		return nil
	}
	return list
}

// parseTime reads a number of seconds since 1970, which may have a fraction.
func parseTime(value json.RawMessage) (time.Time, bool) {
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(seconds >= 0 && seconds < latestTime) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(seconds * 1000)), true
}

// check returns a Refusal unless the claims are meant for this service and valid at now.
func (c Claims) check(i *Issuer, now time.Time) error {
	switch {
	case !slices.ContainsFunc(c.audience, func(a string) bool { return slices.Contains(i.Audiences, a) }):
		return WrongAudience
	case c.expiresAt.Sub(c.issuedAt) > maximumLifetime:
		return TooLongLived
	case !now.Before(c.expiresAt.Add(leeway)):
		return Expired
	case now.Add(leeway).Before(c.issuedAt), now.Add(leeway).Before(c.notBefore):
		return NotYetValid
	}
	return nil
}
