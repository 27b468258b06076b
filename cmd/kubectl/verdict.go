package kubectl

import (
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/password"
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
	lines = append(lines, f.passwords()...)
	lines = append(lines, f.locked())
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

func (f *facts) revoked() line {
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

// passwords says what the service finds when it follows each password to its Secret. They are bad
// only if none of them logs in.
func (f *facts) passwords() (lines []line) {
	usable := false
	for i := range f.user.Spec.Passwords {
		l := f.password(i)
		usable = usable || l.mark != bad
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return []line{{bad, "spec.passwords is empty", "add one: kubectl gatehouse user set-password " + f.user.Name + " --generate-password"}}
	}
	for i := range lines {
		if usable && lines[i].mark == bad {
			lines[i].mark = note
		}
	}
	return lines
}

func (f *facts) password(i int) line {
	p := &f.user.Spec.Passwords[i]
	name, ref := f.passwordName(i), p.Source()
	switch {
	case ref == nil:
		return line{bad, name + " has neither hashFrom nor plaintextFrom", "set one of them"}
	case p.ExpiresAt != nil && !p.ExpiresAt.After(f.now):
		return line{bad, name + " expired at " + inUTC(p.ExpiresAt), "add another: kubectl gatehouse user set-password " + f.user.Name + " --generate-password"}
	case f.unreadable != nil && f.secrets[ref.Name] == nil:
		return f.unreadPassword(name, ref)
	}
	alone := *f.user
	alone.Spec.Passwords = f.user.Spec.Passwords[i : i+1]
	out := projection.NewProjector(password.NewKeyer(), nil).Project(&alone, func(name string) *corev1.Secret { return f.secrets[name] })
	if len(out.Problems) > 0 {
		return line{bad, withoutEntry(name, out.Problems[0].Message), ""}
	}
	text := name + " is a password in plain text"
	if p.HashFrom != nil {
		text = name + " is a hash: " + out.User.Credentials.Passwords[0].Hash.Class()
	}
	if p.ExpiresAt != nil {
		text += ", expires at " + inUTC(p.ExpiresAt)
	}
	if len(out.Weak) > 0 {
		return line{note, withoutEntry(name, out.Weak[0]), "replace it: kubectl gatehouse user set-password " + f.user.Name + " --generate-password"}
	}
	return line{good, text, ""}
}

// unreadPassword repeats what the service says about a password whose Secret the person may not
// read.
func (f *facts) unreadPassword(name string, ref *authv1alpha1.SecretKeyRef) line {
	for _, c := range f.user.Status.Conditions {
		if c.Status == metav1.ConditionFalse && strings.Contains(c.Message, fmt.Sprintf("Secret %q", ref.Name)) {
			return line{bad, name + ": the service says: " + c.Message, ""}
		}
	}
	return line{note, fmt.Sprintf("%s is in Secret %q, which you may not read; the service reports no fault", name, ref.Name), ""}
}

func (f *facts) passwordName(i int) string {
	name := f.user.Spec.Passwords[i].Name
	if name == "" {
		name = "default"
	}
	return "passwords[" + name + "]"
}

// withoutEntry returns a message of the projection that begins with the entry once.
func withoutEntry(name, message string) string {
	if _, rest, found := strings.Cut(message, "]"); found && strings.HasPrefix(message, "passwords[") {
		return name + rest
	}
	return name + ": " + message
}

func (f *facts) locked() line {
	at := f.user.Status.LockedUntil
	if at == nil || !at.After(f.now) {
		return line{good, fmt.Sprintf("not locked (%d failed logins in a row)", f.user.Status.FailedLogins), ""}
	}
	until := "until " + inUTC(at)
	if at.Year() == 9999 {
		until = "until someone lifts the lock"
	}
	return line{bad, fmt.Sprintf("locked %s, after %d failed logins in a row", until, f.user.Status.FailedLogins),
		"find out who guesses, then: kubectl gatehouse user unlock " + f.user.Name}
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
	return append(lines, line{note, "has not got a token yet, as far as the status shows", ""})
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
		case authv1alpha1.ConditionReady, authv1alpha1.ConditionLoginAllowed, authv1alpha1.ConditionWeakHash, authv1alpha1.ConditionTokensVoid:
			continue
		}
		switch {
		case c.Type == "Enforced" && c.Status == metav1.ConditionTrue:
			lines = append(lines, line{good, "in force on all replicas: " + c.Message, ""})
		case c.Type == "Enforced" || c.Status == metav1.ConditionTrue:
			lines = append(lines, line{note, fmt.Sprintf("%s is %s (%s): %s", c.Type, c.Status, c.Reason, c.Message), ""})
		}
	}
	if meta.FindStatusCondition(f.user.Status.Conditions, authv1alpha1.ConditionReady) == nil && f.user.Status.State != "" {
		lines = append(lines, line{note, "the status has no condition Ready", "an older version of the service may be running"})
	}
	return lines
}
