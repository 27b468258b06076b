package projection

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// Status holds everything that the status of a User is computed from, at one point in time.
type Status struct {
	User       *authv1alpha1.User
	Projection Projection
	Current    *directory.User // the directory's version of Projection.User; nil if it has none
	Holder     string          // namespace/name of the other User that holds the login; empty if User does
	Lifted     bool            // a changed password has lifted the lock that the status shows
	Now        time.Time

	// IdentityConflicts are the identities of User that other Users hold.
	IdentityConflicts []directory.IdentityConflict
	// Trusts reports whether tokens of an issuer log in; nil: all do.
	Trusts func(issuer string) bool
	// Enforced says whether every replica has User in force; empty: as the status says.
	Enforced metav1.Condition
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
	s.revokeTokens(&next)
	next.ObservedGeneration = s.User.Generation
	next.Login = u.Login
	allowed := s.loginAllowed(u, next.State)
	s.setCondition(&next, ready(allowed))
	s.setCondition(&next, s.stalled(allowed))
	s.setCondition(&next, allowed)
	if s.Enforced.Status != "" {
		s.setCondition(&next, s.Enforced)
	}
	s.setCondition(&next, s.passwordExpiring())
	s.setCondition(&next, remarkCondition(authv1alpha1.ConditionWeakHash, authv1alpha1.ReasonBelowRecommendation, s.Projection.Weak,
		"; replace the hash with a stronger one, for example from gatehouse hash-password"))
	s.setCondition(&next, remarkCondition(authv1alpha1.ConditionWeakPlaintext, authv1alpha1.ReasonGuessable, s.Projection.Guessable,
		": the password is short or simple, and no lock stops those who guess it; use at least 16 random characters"))
	s.setCondition(&next, remarkCondition(authv1alpha1.ConditionPlaintextNewline, authv1alpha1.ReasonTrailingNewline, s.Projection.Newlines,
		": the password ends in a newline, which clients must send too; remove the newline if it is not intended"))
	s.setCondition(&next, s.tokensVoid())
	s.setCondition(&next, s.identityConflict())
	s.setCondition(&next, s.identityUntrusted())
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
	if s.Current != nil {
		u.Revocations = s.Current.Revocations
	}
	return &u
}

// revokedSlack is how far apart the times may be at which two replicas see the same revocation. It
// keeps a replica from correcting the time that another one has written.
const revokedSlack = 10 * time.Second

// revokeTokens moves tokensRevokedAt when the user gets or loses the state Revoked, or when this
// replica saw a revocation that was lifted, or made again after it was lifted, before any status showed
// it. It pulls back a time that lies too far in the future.
func (s Status) revokeTokens(next *authv1alpha1.UserStatus) {
	recorded := timeOf(next.TokensRevokedAt)
	if directory.TooFarAhead(recorded, s.Now) {
		now := metav1.NewTime(s.Now.UTC().Truncate(time.Second))
		next.TokensRevokedAt, next.TokensRevokedAtCorrected = &now, &now
		return
	}
	if s.Current == nil {
		return
	}
	at := s.Current.TokensRevokedAt.UTC().Truncate(time.Second)
	changes := (s.User.Status.State == authv1alpha1.UserRevoked) != (next.State == authv1alpha1.UserRevoked)
	superseded := s.Current.SupersededRevocation != 0 && s.Current.SupersededRevocation == recorded.Unix()
	if at.After(recorded) && (changes || superseded || at.Sub(recorded) > revokedSlack) {
		next.TokensRevokedAt = &metav1.Time{Time: at}
	}
}

// setCondition adds or replaces a condition, or removes it if its status is empty. At one generation
// it does not replace a condition for its message alone, so that replicas of two versions do not
// overwrite each other.
func (s Status) setCondition(status *authv1alpha1.UserStatus, c metav1.Condition) {
	if !SaysTheSame(meta.FindStatusCondition(status.Conditions, c.Type), c, s.User.Generation) {
		PutCondition(&status.Conditions, c, s.User.Generation, s.Now)
	}
}

// ready returns the Ready condition. What the User says is in force, even if it is that the user
// cannot log in, unless something is wrong with the User.
func ready(allowed metav1.Condition) metav1.Condition {
	c := allowed
	c.Type = authv1alpha1.ConditionReady
	switch c.Reason {
	case authv1alpha1.ReasonActive, authv1alpha1.ReasonRevoked, authv1alpha1.ReasonExpired,
		authv1alpha1.ReasonPasswordExpired, authv1alpha1.ReasonLocked:
		c.Status = metav1.ConditionTrue
	}
	return c
}

// stalled returns the Stalled condition, which is empty unless only an edit can make the User ready.
func (s Status) stalled(allowed metav1.Condition) metav1.Condition {
	c := metav1.Condition{Type: authv1alpha1.ConditionStalled}
	if ready(allowed).Status == metav1.ConditionTrue {
		return c
	}
	reasons := []string{allowed.Reason}
	for _, p := range s.Projection.Problems {
		reasons = append(reasons, p.Reason)
	}
	for _, reason := range reasons {
		if needsEdit(reason) {
			c.Status, c.Reason, c.Message = metav1.ConditionTrue, reason, allowed.Message
			return c
		}
	}
	return c
}

// needsEdit reports whether waiting does not help against a problem. A Secret or a key that is
// missing may be about to come.
func needsEdit(reason string) bool {
	return reason != authv1alpha1.ReasonSecretNotFound && reason != authv1alpha1.ReasonSecretKeyNotFound
}

// revokedMessage says what revokes u and how to lift it.
func (s Status) revokedMessage(u *directory.User) string {
	var causes []string
	if s.User.Spec.Revoked {
		causes = append(causes, "spec.revoked is true; set it to false to let the user log in again")
	}
	for _, r := range u.Revocations {
		if !r.Ended(s.Now) {
			causes = append(causes, fmt.Sprintf("Revocation %q is in force; delete it to let the user log in again", r.Name()))
		}
	}
	return strings.Join(causes, "; ") + "; tokens issued before stay void"
}

// passwordExpiring returns a condition about passwords that expire soon, or an empty one.
func (s Status) passwordExpiring() metav1.Condition {
	var soon []string
	for i := range s.User.Spec.Passwords {
		p := &s.User.Spec.Passwords[i]
		if end := timeOf(p.ExpiresAt); end.After(s.Now) && !end.After(s.Now.Add(directory.ExpiryNotice)) {
			soon = append(soon, fmt.Sprintf("passwords[%s] expires at %s", passwordName(p), inUTC(end)))
		}
	}
	return remarkCondition(authv1alpha1.ConditionPasswordExpiring, authv1alpha1.ReasonExpiresSoon, soon, "; add a new password before that")
}

// loginAllowed returns the LoginAllowed condition, which explains a state of u.
func (s Status) loginAllowed(u *directory.User, state authv1alpha1.UserState) metav1.Condition {
	problems := s.Projection.Problems
	switch state {
	case authv1alpha1.UserRevoked:
		return notAllowed(authv1alpha1.ReasonRevoked, s.revokedMessage(u))
	case authv1alpha1.UserExpired:
		return notAllowed(authv1alpha1.ReasonExpired, fmt.Sprintf("the account expired at %s; "+
			"set spec.expiresAt to a later time or remove it to reopen the account", inUTC(u.ExpiresAt)))
	case authv1alpha1.UserInvalid:
		return s.invalid(u)
	case authv1alpha1.UserPasswordExpired:
		return notAllowed(authv1alpha1.ReasonPasswordExpired,
			"every usable password has expired; add a new one, or set a later expiresAt"+alsoBroken(problems))
	case authv1alpha1.UserLocked:
		return notAllowed(authv1alpha1.ReasonLocked, fmt.Sprintf("too many failed logins in a row; the account is locked until %s; "+
			"to unlock it sooner, set status.lockedUntil to null or change the password%s", inUTC(u.LockedUntil), alsoBroken(problems)))
	}
	if len(problems) > 0 {
		return notAllowed(problems[0].Reason, joinMessages(problems)+"; the other passwords still work")
	}
	if conflict := s.identityConflict(); conflict.Status != "" {
		return notAllowed(conflict.Reason, conflict.Message)
	}
	return metav1.Condition{Type: authv1alpha1.ConditionLoginAllowed, Status: metav1.ConditionTrue,
		Reason: authv1alpha1.ReasonActive, Message: fmt.Sprintf("logs in as %q", u.Login)}
}

// invalid returns the LoginAllowed condition of a user who is Invalid.
func (s Status) invalid(u *directory.User) metav1.Condition {
	problems := s.Projection.Problems
	switch {
	case u.Unreadable:
		return notAllowed(authv1alpha1.ReasonUnreadable, fmt.Sprintf("the stored object breaks the schema and counts as revoked; "+
			"correct these fields and apply it again: %s", stored.Fault(s.User)))
	case u.NotPermitted:
		return notAllowed(authv1alpha1.ReasonNotPermitted, s.Projection.NotPermitted+
			"; change the User, or ask those who run the service to change the Tenants")
	case s.Holder != "":
		return notAllowed(authv1alpha1.ReasonLoginConflict, fmt.Sprintf("%s already has the login %q; "+
			"set a different spec.login here, or delete one of the two Users", s.describeHolder(s.Holder), u.Login))
	case len(problems) == 0:
		return notAllowed(authv1alpha1.ReasonNoPassword,
			"spec.passwords and spec.identities are empty; add a password with hashFrom or plaintextFrom, or an identity")
	default:
		return notAllowed(problems[0].Reason, joinMessages(problems))
	}
}

// describeHolder names a User who takes precedence over this one, and says why.
func (s Status) describeHolder(key string) string {
	if namespace, _, _ := strings.Cut(key, "/"); namespace != s.User.Namespace {
		return fmt.Sprintf("the User %s, whose namespace takes precedence,", key)
	}
	return "the older User " + key
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
		times = append(times, p.ExpiresAt, p.ExpiresAt.Add(-directory.ExpiryNotice))
	}
	if s.Current != nil {
		for _, r := range s.Current.Revocations {
			times = append(times, r.Until)
		}
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

func notAllowed(reason, message string) metav1.Condition {
	return metav1.Condition{Type: authv1alpha1.ConditionLoginAllowed, Status: metav1.ConditionFalse, Reason: reason, Message: message}
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
