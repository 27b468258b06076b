package projection

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// Status holds everything that the status of a User is computed from, at one point in time.
type Status struct {
	User       *authv1alpha1.User
	Projection Projection
	Holder     string // namespace/name of the older User that holds the login; empty if User does
	Lifted     bool   // a changed password has lifted the lock that the status shows
	Now        time.Time
}

// Next returns the status that the User should have. It depends on nothing but s, so that all
// replicas compute the same status.
func (s Status) Next() authv1alpha1.UserStatus {
	next := *s.User.Status.DeepCopy()
	if s.Lifted {
		next.LockedUntil = nil
	}
	if next.LockedUntil == nil && (s.Lifted || next.State == authv1alpha1.UserLocked) {
		next.FailedLogins = 0 // the lock was lifted, so the count starts over
	}
	u := s.publicUser()
	next.State = authv1alpha1.UserState(u.State(s.Now, s.Holder == ""))
	next.ObservedGeneration = s.User.Generation
	s.setCondition(&next, s.ready(u, next.State))
	s.setCondition(&next, remarkCondition(authv1alpha1.ConditionWeakHash, authv1alpha1.ReasonBelowRecommendation, s.Projection.Weak,
		"; replace the hash with a stronger one, for example from gatehouse hash-password"))
	s.setCondition(&next, remarkCondition(authv1alpha1.ConditionPlaintextNewline, authv1alpha1.ReasonTrailingNewline, s.Projection.Newlines,
		": the password ends in a newline, which clients must send too; remove the newline if it is not intended"))
	s.setCondition(&next, s.tokensVoid())
	return next
}

// publicUser returns the directory's user without what only this replica knows of it: a lock that
// has been lifted but is still in the status, and a lock of this replica that is not there yet.
func (s Status) publicUser() *directory.User {
	u := *s.Projection.User
	if s.Lifted {
		u.LockedUntil = time.Time{}
	}
	u.Credentials = &directory.Credentials{Passwords: u.Credentials.Passwords}
	return &u
}

// setCondition adds or replaces a condition, or removes it if its status is empty.
func (s Status) setCondition(status *authv1alpha1.UserStatus, c metav1.Condition) {
	if c.Status == "" {
		meta.RemoveStatusCondition(&status.Conditions, c.Type)
		return
	}
	c.ObservedGeneration = s.User.Generation
	c.LastTransitionTime = metav1.NewTime(s.Now)
	meta.SetStatusCondition(&status.Conditions, c)
}

// ready returns the Ready condition, which explains a state of u.
func (s Status) ready(u *directory.User, state authv1alpha1.UserState) metav1.Condition {
	problems := s.Projection.Problems
	switch state {
	case authv1alpha1.UserRevoked:
		return notReady(authv1alpha1.ReasonRevoked, "spec.revoked is true; set it to false to let the user log in again")
	case authv1alpha1.UserExpired:
		return notReady(authv1alpha1.ReasonExpired, fmt.Sprintf("the account expired at %s; "+
			"set spec.expiresAt to a later time or remove it to reopen the account", inUTC(u.ExpiresAt)))
	case authv1alpha1.UserInvalid:
		return s.invalid(u)
	case authv1alpha1.UserPasswordExpired:
		return notReady(authv1alpha1.ReasonPasswordExpired,
			"every usable password has expired; add a new one, or set a later expiresAt"+alsoBroken(problems))
	case authv1alpha1.UserLocked:
		return notReady(authv1alpha1.ReasonLocked, fmt.Sprintf("too many failed logins in a row; the account is locked until %s; "+
			"to unlock it sooner, set status.lockedUntil to null or change the password%s", inUTC(u.LockedUntil), alsoBroken(problems)))
	}
	if len(problems) > 0 {
		return notReady(problems[0].Reason, joinMessages(problems)+"; the other passwords still work")
	}
	return metav1.Condition{Type: authv1alpha1.ConditionReady, Status: metav1.ConditionTrue,
		Reason: authv1alpha1.ReasonActive, Message: fmt.Sprintf("logs in as %q", u.Login)}
}

// invalid returns the Ready condition of a user who is Invalid.
func (s Status) invalid(u *directory.User) metav1.Condition {
	problems := s.Projection.Problems
	switch {
	case u.Unreadable:
		return notReady(authv1alpha1.ReasonUnreadable, fmt.Sprintf("the stored object breaks the schema and counts as revoked; "+
			"correct these fields and apply it again: %s", s.User.Unreadable))
	case s.Holder != "":
		return notReady(authv1alpha1.ReasonLoginConflict, fmt.Sprintf("the older User %s already has the login %q; "+
			"set a different spec.login here, or delete one of the two Users", s.Holder, u.Login))
	case len(problems) == 0:
		return notReady(authv1alpha1.ReasonNoPassword, "spec.passwords is empty; add an entry with hashFrom or plaintextFrom")
	default:
		return notReady(problems[0].Reason, joinMessages(problems))
	}
}

func (s Status) tokensVoid() metav1.Condition {
	after := s.Projection.User.TokensValidAfter
	if !s.Now.Before(after) {
		return metav1.Condition{Type: authv1alpha1.ConditionTokensVoid}
	}
	return metav1.Condition{Type: authv1alpha1.ConditionTokensVoid, Status: metav1.ConditionTrue,
		Reason: authv1alpha1.ReasonInTheFuture, Message: fmt.Sprintf("spec.tokensValidAfter is %s, which is in the future; "+
			"until then the user can log in, but every token is void", inUTC(after))}
}

// RequeueAfter returns how long the status stays true without a change of its inputs: until the
// next of the user's times. It returns 0 if none of them is in the future.
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
	// At most a day: longer waits could overflow a Duration when added up, and clocks get adjusted.
	return min(next.Sub(s.Now), 24*time.Hour)
}

func notReady(reason, message string) metav1.Condition {
	return metav1.Condition{Type: authv1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

// remarkCondition returns a condition about passwords that work, or an empty one if there are no
// remarks.
func remarkCondition(kind, reason string, remarks []string, advice string) metav1.Condition {
	if len(remarks) == 0 {
		return metav1.Condition{Type: kind}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: strings.Join(remarks, "; ") + advice}
}

func joinMessages(problems []Problem) string {
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message
	}
	return strings.Join(messages, "; ")
}

// alsoBroken adds the broken passwords to the message of a more pressing reason.
func alsoBroken(problems []Problem) string {
	if len(problems) == 0 {
		return ""
	}
	return "; also, " + joinMessages(problems)
}

func inUTC(t time.Time) string { return t.UTC().Format(time.RFC3339) }
