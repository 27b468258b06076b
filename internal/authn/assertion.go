package authn

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// Assertion checks tokens of other issuers that speak for users. Nothing can be guessed here, so
// that a wrong assertion costs no failure of the account, and no lock concerns it. Its refusal takes
// the work and the turn of a wrong password, so that a flood of forged assertions leaves others as
// much room as one of guesses. It is safe for concurrent use.
type Assertion struct {
	Passwords *Password // whose hashes a refusal takes
	Directory *directory.Directory
	Verifier  *assertion.Verifier
	Audit     audit.Sink
	Now       func() time.Time
}

// The reasons to refuse a genuine assertion, for logs and metrics.
const (
	reasonNoIdentity = "assertion_of_no_user"
	reasonOtherUser  = "assertion_of_another_user"
)

// Authenticate returns the user for whom an assertion speaks. A refusal is ErrWrongPassword,
// whatever is wrong with the assertion, or the verdict on the user. Any other error means that
// there is no verdict.
func (a *Assertion) Authenticate(ctx context.Context, text string) (Identity, error) {
	return a.authenticate(ctx, text, "", true)
}

// AuthenticateLogin is like Authenticate and refuses an assertion that speaks for another user than
// the one with a login. It looks at the login last, so that no refusal shows whether it exists.
func (a *Assertion) AuthenticateLogin(ctx context.Context, login, text string) (Identity, error) {
	return a.authenticate(ctx, text, login, false)
}

// authenticate checks an assertion that must speak for the user with a login, or may speak for any
// user.
func (a *Assertion) authenticate(ctx context.Context, text, login string, anyUser bool) (Identity, error) {
	user, claims, reason, err := a.check(ctx, text, login, anyUser)
	if IsRefusal(err) {
		// Random text, because requests with the same text would share one hash.
		if busy := a.Passwords.payForRefusal(ctx, login, rand.Text()); busy != nil {
			reason, err = Reason(busy), busy
		}
	}
	event := audit.Event{
		Name: audit.Login, Outcome: audit.Allowed, Reason: reason, Login: truncateLogin(login),
		Credential: audit.Identity, Issuer: claims.Issuer, Subject: claims.Subject,
	}
	if user != nil {
		event.Login, event.UID = user.Login, user.UID
	}
	if err != nil {
		event.Outcome = audit.Refused
		if !IsRefusal(err) {
			event.Outcome = audit.Failed
		}
	}
	a.Audit(ctx, event)
	if err != nil {
		return Identity{}, err
	}
	return Identity{User: user}, nil
}

// check returns the user of a good assertion. With an error it returns the reason for the log.
func (a *Assertion) check(ctx context.Context, text, login string, anyUser bool) (_ *directory.User, _ assertion.Claims, reason string, _ error) {
	now := a.Now()
	if err := undecided(a.Directory, now); err != nil {
		return nil, assertion.Claims{}, Reason(err), err
	}
	claims, err := a.Verifier.Verify(ctx, text, now)
	if refusal, ok := errors.AsType[assertion.Refusal](err); ok {
		return nil, claims, string(refusal), ErrWrongPassword
	}
	if err != nil {
		return nil, claims, Reason(err), err
	}
	user, ok := a.userOf(claims)
	switch {
	case !ok && a.Directory.Incomplete(), ok && a.Directory.Cut(user):
		return nil, claims, Reason(ErrCut), ErrCut
	case !ok:
		return nil, claims, reasonNoIdentity, ErrWrongPassword
	case !anyUser && login != user.Login:
		return nil, claims, reasonOtherUser, ErrWrongPassword
	}
	if err := user.Check(now); err != nil {
		return user, claims, Reason(err), err
	}
	return user, claims, "", nil
}

// userOf returns the user who holds the identity of an assertion. A user must hold its login: one
// who was given the login of another user would act in the other's name.
func (a *Assertion) userOf(claims assertion.Claims) (*directory.User, bool) {
	user, ok := a.Directory.ByIdentity(claims.Issuer, claims.Subject, claims.Text)
	if claims.Cluster {
		// A User may name the issuer of the cluster by its URL, too.
		if other, named := a.Directory.ByIdentity(directory.ClusterIssuer, claims.Subject, claims.Text); named && (!ok || other.Before(user)) {
			user, ok = other, true
		}
	}
	if !ok {
		return nil, false
	}
	holder, ok := a.Directory.ByLogin(user.Login)
	return user, ok && holder.UID == user.UID
}

// Logins checks what a client sends in the place of a password: an assertion if it has the form of
// one, and otherwise a password.
type Logins struct {
	Passwords  *Password
	Assertions *Assertion
}

// Authenticate returns the user with this login if the secret is good. The errors are those of
// Password.Authenticate and of Assertion.AuthenticateLogin.
func (l *Logins) Authenticate(ctx context.Context, login, secret string) (Identity, error) {
	if assertion.HasForm(secret) {
		return l.Assertions.AuthenticateLogin(ctx, login, secret)
	}
	return l.Passwords.Authenticate(ctx, login, secret)
}
