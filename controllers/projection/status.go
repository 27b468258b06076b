package projection

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// Status is how a user stands at one moment: everything that status is computed from.
type Status struct {
	User       *authv1alpha1.User
	Projection Projection
	Holder     string // namespace/name of the older User that holds the login; empty: this one does
	Lifted     bool   // a changed password has lifted the lock that status shows
	Now        time.Time
}

// Next returns the status that the user should have. It depends on nothing but s, so all replicas come to the same.
func (s Status) Next() authv1alpha1.UserStatus {
	next := *s.User.Status.DeepCopy()
	if s.Lifted {
		next.LockedUntil = nil
	}
	if next.LockedUntil == nil && (s.Lifted || next.State == authv1alpha1.UserLocked) {
		next.FailedLogins = 0 // somebody lifted the lock, so the account starts anew
	}
	state, ready := s.state()
	next.State = state
	next.ObservedGeneration = s.User.Generation
	s.set(&next, ready)
	s.set(&next, remark(authv1alpha1.ConditionWeakHash, authv1alpha1.ReasonBelowRecommendation, s.Projection.Weak,
		"; replace the hash by a stronger one, for instance with gatehouse hash-password"))
	s.set(&next, remark(authv1alpha1.ConditionPlaintextNewline, authv1alpha1.ReasonTrailingNewline, s.Projection.Newlines,
		": the password ends in a newline, which a client must send too; remove it if it is not meant"))
	s.set(&next, s.tokensVoid())
	return next
}

// set enters a condition, or takes it away when it has nothing to say.
func (s Status) set(status *authv1alpha1.UserStatus, c metav1.Condition) {
	if c.Status == "" {
		meta.RemoveStatusCondition(&status.Conditions, c.Type)
		return
	}
	c.ObservedGeneration = s.User.Generation
	c.LastTransitionTime = metav1.NewTime(s.Now)
	meta.SetStatusCondition(&status.Conditions, c)
}

// state is the state and the Ready condition.
func (s Status) state() (authv1alpha1.UserState, metav1.Condition) {
	u := s.Projection.User
	problems := s.Projection.Problems
	switch {
	case s.User.Unreadable != "":
		return authv1alpha1.UserInvalid, notReady(authv1alpha1.ReasonUnreadable, fmt.Sprintf("the stored object breaks the schema "+
			"and counts as revoked; correct the field and apply it again: %s", s.User.Unreadable))
	case u.Revoked:
		return authv1alpha1.UserRevoked, notReady(authv1alpha1.ReasonRevoked, "spec.revoked is true")
	case hasEnded(u.ExpiresAt, s.Now):
		return authv1alpha1.UserExpired, notReady(authv1alpha1.ReasonExpired,
			fmt.Sprintf("the account ended at %s; move or remove spec.expiresAt to reopen it", inUTC(u.ExpiresAt)))
	case s.Holder != "":
		return authv1alpha1.UserInvalid, notReady(authv1alpha1.ReasonLoginConflict,
			fmt.Sprintf("the older User %s has the login %q; set another spec.login here, or delete one of the two", s.Holder, u.Login))
	case len(u.Credentials.Passwords) == 0 && len(problems) == 0:
		return authv1alpha1.UserInvalid, notReady(authv1alpha1.ReasonNoPassword,
			"spec.passwords is empty; add an entry with hashFrom or plaintextFrom")
	case len(u.Credentials.Passwords) == 0:
		return authv1alpha1.UserInvalid, notReady(problems[0].Reason, joinMessages(problems))
	case u.PasswordsExpired(s.Now):
		return authv1alpha1.UserPasswordExpired, notReady(authv1alpha1.ReasonPasswordExpired,
			"every usable password has expired; add a new one, or move its expiresAt"+alsoBroken(problems))
	case s.locked():
		return authv1alpha1.UserLocked, notReady(authv1alpha1.ReasonLocked, fmt.Sprintf("too many failed logins in a row; "+
			"locked until %s, or until status.lockedUntil is set to null or the password changes%s", inUTC(u.LockedUntil), alsoBroken(problems)))
	case len(problems) > 0:
		return authv1alpha1.UserActive, notReady(problems[0].Reason, joinMessages(problems)+"; the other passwords log in")
	default:
		return authv1alpha1.UserActive, metav1.Condition{Type: authv1alpha1.ConditionReady, Status: metav1.ConditionTrue,
			Reason: authv1alpha1.ReasonActive, Message: fmt.Sprintf("logs in as %q", u.Login)}
	}
}

func (s Status) locked() bool { return !s.Lifted && s.Now.Before(s.Projection.User.LockedUntil) }

func (s Status) tokensVoid() metav1.Condition {
	after := s.Projection.User.TokensValidAfter
	if !s.Now.Before(after) {
		return metav1.Condition{Type: authv1alpha1.ConditionTokensVoid}
	}
	return metav1.Condition{Type: authv1alpha1.ConditionTokensVoid, Status: metav1.ConditionTrue,
		Reason: authv1alpha1.ReasonInTheFuture, Message: fmt.Sprintf("spec.tokensValidAfter is %s, in the future; until then "+
			"the user logs in but every token is void", inUTC(after))}
}

// RequeueAfter returns how long the status stays true by itself: until the next of the user's times comes. Zero: nothing is to come.
func (s Status) RequeueAfter() time.Duration {
	u := s.Projection.User
	times := []time.Time{u.ExpiresAt, u.LockedUntil, u.TokensValidAfter}
	for _, p := range u.Credentials.Passwords {
		times = append(times, p.ExpiresAt)
	}
	var next time.Time
	for _, t := range times {
		if t.After(s.Now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if next.IsZero() {
		return 0
	}
	// A day at most: sums of longer waits could leave the range of a Duration, and clocks are set.
	return min(next.Sub(s.Now), 24*time.Hour)
}

func notReady(reason, message string) metav1.Condition {
	return metav1.Condition{Type: authv1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

// remark is a condition that is there only while there is something to remark on.
func remark(kind, reason string, about []string, advice string) metav1.Condition {
	if len(about) == 0 {
		return metav1.Condition{Type: kind}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: strings.Join(about, "; ") + advice}
}

func joinMessages(problems []Problem) string {
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message
	}
	return strings.Join(messages, "; ")
}

// alsoBroken names broken passwords beside a more pressing reason.
func alsoBroken(problems []Problem) string {
	if len(problems) == 0 {
		return ""
	}
	return "; besides, " + joinMessages(problems)
}

func hasEnded(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

func inUTC(t time.Time) string { return t.UTC().Format(time.RFC3339) }
