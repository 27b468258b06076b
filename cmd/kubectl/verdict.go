package kubectl

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
)

// mark is what stands before a line of an explanation.
type mark string

const (
	good mark = "✓" // does not stand in the way of a login
	bad  mark = "✗" // keeps the user from logging in
	note mark = "!" // worth knowing
)

// line is one thing that decides whether a User logs in.
type line struct {
	mark   mark
	text   string
	advice string // what to do; empty if nothing
}

// lines returns what decides about a login, in the order in which the service looks at it.
func (f *facts) lines() []line {
	lines := []line{f.observed(), f.revoked(), f.expired(), f.holdsLogin()}
	credentials := f.credentials()
	for _, c := range credentials {
		lines = append(lines, c.line)
	}
	lines = append(lines, f.locked(credentials))
	lines = append(lines, f.tokens()...)
	return append(lines, f.conditions()...)
}

// write writes the explanation: the verdict first, then the reasons.
func (f *facts) write(w io.Writer) {
	lines := f.lines()
	verdict := "can log in"
	for _, l := range lines {
		if l.mark == bad {
			verdict = "cannot log in"
			break
		}
	}
	writeLine(w, "%s (User %s/%s) %s.\n", f.user.EffectiveLogin(), f.user.Namespace, f.user.Name, verdict)
	for _, l := range lines {
		writeLine(w, "%s %s", l.mark, l.text)
		if l.advice != "" {
			writeLine(w, "    -> %s", l.advice)
		}
	}
	for i := range f.events[:min(len(f.events), maximumEvents)] {
		if i == 0 {
			writeLine(w, "\nRecent events:")
		}
		writeLine(w, "  %s", describeEvent(&f.events[i]))
	}
}

// observed says whether the service has looked at the User as it is.
func (f *facts) observed() line {
	switch seen := f.user.Status.ObservedGeneration; {
	case f.user.Status.State == "":
		return line{bad, "the service has not looked at this User yet", "check that the service runs and watches this namespace: kubectl -n gatehouse-system get pods"}
	case seen < f.user.Generation:
		return line{note, fmt.Sprintf("the service has looked at generation %d, and the User is at %d", seen, f.user.Generation),
			"wait a second; if it stays like this, check that the service runs"}
	default:
		return line{good, fmt.Sprintf("the service has looked at the User as it is (generation %d)", seen), ""}
	}
}

// revoked says whether the User is revoked. An unreadable User has spec.revoked set, because it counts
// as revoked.
func (f *facts) revoked() line {
	if fault := stored.Fault(f.user); fault != "" {
		return line{bad, "the stored object breaks the schema and counts as revoked: " + fault, "correct these fields and apply the User again"}
	}
	if f.user.Spec.Revoked {
		return line{bad, "revoked by spec.revoked", "set spec.revoked to false to let the user log in again"}
	}
	for i := range f.revocations {
		r := &f.revocations[i]
		if r.Spec.ExpiresAt != nil && !r.Spec.ExpiresAt.After(f.now) {
			continue
		}
		until := "until it is deleted"
		if r.Spec.ExpiresAt != nil {
			until = "until " + inUTC(r.Spec.ExpiresAt)
		}
		return line{bad, fmt.Sprintf("revoked by Revocation %s %s: %s", r.Name, until, r.Spec.Reason),
			fmt.Sprintf("delete it to let the user log in again: kubectl -n %s delete revocations.auth.gatehouse.dev %s", r.Namespace, r.Name)}
	}
	if c := f.condition(authv1alpha1.ReasonRevoked); c != nil && f.hidden {
		return line{bad, "revoked, and you may not read the Revocations; the service says: " + c.Message, ""}
	}
	return line{good, "not revoked", ""}
}

func (f *facts) expired() line {
	switch at := f.user.Spec.ExpiresAt; {
	case at == nil:
		return line{good, "the account does not expire", ""}
	case !at.After(f.now):
		return line{bad, "the account expired at " + inUTC(at), "set another end: kubectl gatehouse user expire " + f.user.Name + " --at 90d"}
	default:
		return line{good, "the account expires at " + inUTC(at), ""}
	}
}

// holdsLogin says whether the login belongs to this User. The service knows it over all namespaces,
// so its word comes first.
func (f *facts) holdsLogin() line {
	login := f.user.EffectiveLogin()
	if c := f.condition(authv1alpha1.ReasonNotPermitted); c != nil {
		return line{bad, c.Message, ""}
	}
	if c := f.condition(authv1alpha1.ReasonLoginConflict); c != nil {
		return line{bad, c.Message, "set another spec.login, or delete one of the two Users"}
	}
	if len(f.rivals) > 0 {
		return line{note, fmt.Sprintf("User %s has the login %q as well, and cannot use it", f.rivals[0].Name, login), ""}
	}
	return line{good, fmt.Sprintf("the login %q belongs to this User", login), ""}
}

// condition returns the condition with a reason, if the User has one that does not say that all is
// well.
func (f *facts) condition(reason string) *metav1.Condition {
	for i := range f.user.Status.Conditions {
		if c := &f.user.Status.Conditions[i]; c.Reason == reason {
			return c
		}
	}
	return nil
}

// tokens says which tokens of the user are void, and when the last one was issued.
func (f *facts) tokens() (lines []line) {
	after, revoked := f.user.Spec.TokensValidAfter, f.user.Status.TokensRevokedAt
	if after != nil && after.After(f.now) {
		lines = append(lines, line{note, "every token is void until spec.tokensValidAfter, " + inUTC(after), "move it to the past if that is not intended"})
	} else if after != nil || revoked != nil {
		lines = append(lines, line{note, "tokens issued up to " + inUTC(later(after, revoked)) + " are void", ""})
	}
	if issued := f.user.Status.LastTokenIssuedAt; issued != nil {
		return append(lines, line{good, "got a token at about " + inUTC(issued), ""})
	}
	return append(lines, line{note, "the status shows no token yet; it may be ten minutes behind", ""})
}

func later(a, b *metav1.Time) *metav1.Time {
	if a == nil || (b != nil && b.After(a.Time)) {
		return b
	}
	return a
}

// conditions repeats the conditions that no other line is about.
func (f *facts) conditions() (lines []line) {
	for _, c := range f.user.Status.Conditions {
		switch c.Type {
		case authv1alpha1.ConditionReady, authv1alpha1.ConditionLoginAllowed, authv1alpha1.ConditionStalled, authv1alpha1.ConditionWeakHash,
			authv1alpha1.ConditionTokensVoid, authv1alpha1.ConditionIdentityConflict, authv1alpha1.ConditionIdentityUntrusted:
			continue
		}
		switch {
		case c.Type == authv1alpha1.ConditionEnforced && c.Status == metav1.ConditionTrue:
			lines = append(lines, line{good, "in force on all replicas: " + c.Message, ""})
		case c.Type == authv1alpha1.ConditionEnforced || c.Status == metav1.ConditionTrue:
			lines = append(lines, line{note, fmt.Sprintf("%s is %s (%s): %s", c.Type, c.Status, c.Reason, c.Message), ""})
		}
	}
	if meta.FindStatusCondition(f.user.Status.Conditions, authv1alpha1.ConditionReady) == nil && f.user.Status.State != "" {
		lines = append(lines, line{note, "the status has no condition Ready", "an older version of the service may be running"})
	}
	return lines
}
