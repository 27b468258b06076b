package record

import (
	"context"
	"fmt"
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/tolerant"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

// Logins writes changes of users' login state to the status of their Users. It is safe for
// concurrent use.
type Logins struct {
	Client client.Client // writes
	Reader client.Reader // reads from the API server, not from a cache
}

// WriteLogin applies an update to the status of a user. It writes nothing if the update changes
// nothing, or if the User does not exist or no longer has this UID. After an error the caller may
// retry with the same update: at worst its failures count twice.
func (l *Logins) WriteLogin(ctx context.Context, user loginstate.User, update loginstate.Update) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	update = roundToSeconds(update)
	err := userStatuses{tolerant.NewClient(l.Client), tolerant.NewReader(l.Reader)}.change(ctx, user.Key, user.UID, func(status *authv1alpha1.UserStatus) {
		setLoginState(status, loginStateOf(status).Apply(update))
	})
	if err != nil {
		return fmt.Errorf("write the login state of user %s: %w", user.Key, err)
	}
	return nil
}

// roundToSeconds rounds times to the precision of the status, so that an update that was already
// written changes nothing. It rounds the end of a lock up, so that the lock does not get shorter.
func roundToSeconds(u loginstate.Update) loginstate.Update {
	if whole := u.LockedUntil.Truncate(time.Second); whole.Before(u.LockedUntil) {
		u.LockedUntil = whole.Add(time.Second)
	}
	u.IssuedAt = u.IssuedAt.Truncate(time.Second)
	return u
}

// loginStateOf returns the login state that a status holds.
func loginStateOf(status *authv1alpha1.UserStatus) loginstate.State {
	state := loginstate.State{FailedLogins: int(status.FailedLogins)}
	if status.LockedUntil != nil {
		state.LockedUntil = status.LockedUntil.UTC()
	}
	if status.LastTokenIssuedAt != nil {
		state.LastTokenIssuedAt = status.LastTokenIssuedAt.UTC()
	}
	return state
}

// setLoginState writes a login state to a status.
func setLoginState(status *authv1alpha1.UserStatus, s loginstate.State) {
	status.FailedLogins = int32(min(s.FailedLogins, math.MaxInt32)) //nolint:gosec // bounded here
	status.LockedUntil = timeOrNil(s.LockedUntil)
	status.LastTokenIssuedAt = timeOrNil(s.LastTokenIssuedAt)
}

func timeOrNil(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC()}
}
