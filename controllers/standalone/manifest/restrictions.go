package manifest

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// Restrictions are those parts of a rejected User that take effect although it is rejected, because a
// revocation must not depend on a typo elsewhere in the object.
type Restrictions struct {
	Revoked          bool
	TokensValidAfter time.Time // zero if the rejected User does not have a valid one
}

// restrictionsOf returns the restrictions in a JSON object that need not match the schema.
func restrictionsOf(raw []byte) Restrictions {
	// Unlike the schema, this accepts names in other case and values of other types: to revoke too
	// much is the lesser harm.
	var object struct {
		Spec struct {
			Revoked          any
			TokensValidAfter any
		}
	}
	_ = json.Unmarshal(raw, &object) // an error leaves out what cannot be read
	var r Restrictions
	switch revoked := object.Spec.Revoked.(type) {
	case bool:
		r.Revoked = revoked
	case string:
		r.Revoked = isTrue(revoked)
	}
	if text, ok := object.Spec.TokensValidAfter.(string); ok {
		r.TokensValidAfter = parseTime(text)
	}
	return r
}

func isTrue(text string) bool {
	text = strings.ToLower(text)
	return text == "true" || text == "yes" || text == "on"
}

func parseTime(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// The lines of a User, as people write them, in a document that is not valid YAML.
var (
	topLevelLine = regexp.MustCompile(`^([A-Za-z]+):`)
	userLine     = regexp.MustCompile(`^kind:\s*["']?User["']?\s*(#.*)?$`)
	nameField    = regexp.MustCompile(`(?:^metadata:\s*\{\s*|^\s+|,\s*)name:\s*["']?([a-z0-9][-.a-z0-9]*)`)
	spaceField   = regexp.MustCompile(`(?:^metadata:\s*\{\s*|^\s+|,\s*)namespace:\s*["']?([a-z0-9][-.a-z0-9]*)`)
	revokedField = regexp.MustCompile(`(?:^spec:\s*\{\s*|^\s+|,\s*)revoked:\s*["']?([A-Za-z]+)`)
	afterField   = regexp.MustCompile(`(?:^spec:\s*\{\s*|^\s+|,\s*)tokensValidAfter:\s*["']?([-0-9TZ:.+]+)`)
)

// scanRestrictions looks for the restrictions of a User in a document that is not valid YAML, and
// reports whether it has found a User with a name.
func scanRestrictions(text []byte) (key Key, r Restrictions, ok bool) {
	section := ""
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if m := topLevelLine.FindSubmatch(line); m != nil {
			section = string(m[1])
		}
		switch section {
		case "kind":
			ok = ok || userLine.Match(line)
		case "metadata":
			key.Name = firstOf(key.Name, nameField, line)
			key.Namespace = firstOf(key.Namespace, spaceField, line)
		case "spec":
			r.Revoked = r.Revoked || isTrue(firstOf("", revokedField, line))
			if at := parseTime(firstOf("", afterField, line)); at.After(r.TokensValidAfter) {
				r.TokensValidAfter = at
			}
		}
	}
	if key.Namespace == "" {
		key.Namespace = DefaultNamespace
	}
	key.Kind = "User"
	return key, r, ok && key.Name != ""
}

// firstOf returns found or, if that is empty, the text of the first group of a match in line.
func firstOf(found string, pattern *regexp.Regexp, line []byte) string {
	if m := pattern.FindSubmatch(line); found == "" && m != nil {
		return string(m[1])
	}
	return found
}

// RestrictionsOf returns the restrictions of a User.
func RestrictionsOf(u *authv1alpha1.User) Restrictions {
	r := Restrictions{Revoked: u.Spec.Revoked}
	if u.Spec.TokensValidAfter != nil {
		r.TokensValidAfter = u.Spec.TokensValidAfter.Time
	}
	return r
}

// Restrict returns o with the restrictions added. It returns o itself if they change nothing.
func (o Object) Restrict(r Restrictions) Object {
	if o.User == nil {
		return o
	}
	revoke := r.Revoked && !o.User.Spec.Revoked
	void := !r.TokensValidAfter.IsZero() && (o.User.Spec.TokensValidAfter == nil || r.TokensValidAfter.After(o.User.Spec.TokensValidAfter.Time))
	if !revoke && !void {
		return o
	}
	o.User = o.User.DeepCopy()
	if revoke {
		o.User.Spec.Revoked = true
	}
	if void {
		o.User.Spec.TokensValidAfter = &metav1.Time{Time: r.TokensValidAfter}
	}
	return o
}
