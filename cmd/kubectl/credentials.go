package kubectl

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// credential is a password or an identity of a User.
type credential struct {
	line
	guessable bool // a lock of the account refuses it
}

// credentials says what becomes of each password and each identity. They are bad only if none of
// them logs in.
func (f *facts) credentials() (all []credential) {
	for i := range f.user.Spec.Passwords {
		all = append(all, credential{f.password(i), f.user.Spec.Passwords[i].HashFrom != nil})
	}
	for i := range f.user.Spec.Identities {
		all = append(all, credential{f.identity(i), false})
	}
	if len(all) == 0 {
		return []credential{{line: line{bad, "spec.passwords and spec.identities are empty", f.setPassword("add a password")}}}
	}
	if slices.ContainsFunc(all, credential.usable) {
		for i := range all {
			if all[i].mark == bad {
				all[i].mark = note
			}
		}
	}
	return all
}

// usable reports whether the credential logs in while the account is not locked.
func (c credential) usable() bool { return c.mark != bad }

// setPassword returns the advice to give the User a password.
func (f *facts) setPassword(what string) string {
	return what + ": kubectl gatehouse user set-password " + f.user.Name + " --generate-password"
}

// password says what the service finds when it follows a password to its Secret.
func (f *facts) password(i int) line {
	p := &f.user.Spec.Passwords[i]
	name, ref := f.passwordName(i), p.Source()
	switch {
	case ref == nil:
		return line{bad, name + " has neither hashFrom nor plaintextFrom", "set one of them"}
	case p.ExpiresAt != nil && !p.ExpiresAt.After(f.now):
		return line{bad, name + " expired at " + inUTC(p.ExpiresAt), f.setPassword("add another")}
	}
	fault := f.reportedFault(name)
	if f.unreadable != nil && f.secrets[ref.Name] == nil && fault == "" {
		return line{note, fmt.Sprintf("%s is in Secret %q, which you may not read; the service reports no fault", name, ref.Name), ""}
	}
	alone := *f.user
	alone.Spec.Passwords = f.user.Spec.Passwords[i : i+1]
	out := projection.NewProjector(password.NewKeyer(), nil).Project(&alone, func(name string) *corev1.Secret { return f.secrets[name] })
	switch {
	case len(out.Problems) > 0 && (f.secrets[ref.Name] != nil || f.unreadable == nil):
		return line{bad, withoutEntry(name, out.Problems[0].Message), ""}
	case fault != "": // such as a hash that takes more memory than the service has
		return line{bad, name + ": the service says: " + fault, ""}
	case len(out.Weak) > 0:
		return line{note, withoutEntry(name, out.Weak[0]), f.setPassword("replace it")}
	}
	text := name + " is a password in plain text"
	if p.HashFrom != nil {
		text = name + " is a hash: " + out.User.Credentials.Passwords[0].Hash.Class()
	}
	if p.ExpiresAt != nil {
		text += ", expires at " + inUTC(p.ExpiresAt)
	}
	return line{good, text, ""}
}

// reportedFault returns why the service leaves out a password, or an empty string if it does not. The
// message of LoginAllowed has a part for each password that it leaves out.
func (f *facts) reportedFault(name string) string {
	c := meta.FindStatusCondition(f.user.Status.Conditions, authv1alpha1.ConditionLoginAllowed)
	if c == nil || c.Status != metav1.ConditionFalse || c.ObservedGeneration != f.user.Generation {
		return ""
	}
	_, fault, _ := strings.Cut(c.Message, name+": ")
	for _, end := range []string{"; passwords[", "; the other passwords still work"} {
		fault, _, _ = strings.Cut(fault, end)
	}
	return fault
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

// identity says whether the tokens of an identity log in. Who holds it and whom the service trusts is
// known to the service alone.
func (f *facts) identity(i int) line {
	text := fmt.Sprintf("identities[%d] (%s)", i, projection.DescribeIdentity(projection.Identities(f.user)[i]))
	if rest, found := f.remark(authv1alpha1.ConditionIdentityConflict, text); found {
		holder, _, _ := strings.Cut(rest, ";")
		return line{bad, text + holder, "remove it from one of the two Users, or give the two different claims"}
	}
	if _, found := f.remark(authv1alpha1.ConditionIdentityUntrusted, text); found {
		return line{bad, text + ": the service does not trust the issuer", "add the issuer to the file of --trusted-issuers: docs/identities.md"}
	}
	if federated := f.user.Spec.Identities[i].Federated; federated != nil {
		for _, name := range slices.Sorted(maps.Keys(federated.Claims)) {
			text += fmt.Sprintf(", if the claim %q is %q", name, federated.Claims[name])
		}
	}
	return line{good, text + " logs in with its own token", ""}
}

// remark returns what a condition that is True says after some text.
func (f *facts) remark(condition, text string) (rest string, found bool) {
	c := meta.FindStatusCondition(f.user.Status.Conditions, condition)
	if c == nil || c.Status != metav1.ConditionTrue {
		return "", false
	}
	_, rest, found = strings.Cut(c.Message, text)
	return rest, found
}

// locked says whether the account is locked. A lock refuses hashes only, because only they can be
// guessed.
func (f *facts) locked(credentials []credential) line {
	at := f.user.Status.LockedUntil
	if at == nil || !at.After(f.now) {
		return line{good, fmt.Sprintf("not locked (%d failed logins in a row)", f.user.Status.FailedLogins), ""}
	}
	until := "until " + inUTC(at)
	if at.Year() == 9999 {
		until = "until someone lifts the lock"
	}
	text := fmt.Sprintf("locked %s, after %d failed logins in a row", until, f.user.Status.FailedLogins)
	advice := "find out who guesses, then: kubectl gatehouse user unlock " + f.user.Name
	if slices.ContainsFunc(credentials, func(c credential) bool { return c.usable() && !c.guessable }) {
		return line{note, text + "; this refuses hashes, and neither plaintexts nor identities", advice}
	}
	return line{bad, text + "; only a client that logged in within the last 24 hours still can", advice}
}
