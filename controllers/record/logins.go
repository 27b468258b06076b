package record

import (
	"context"
	"fmt"
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

// Logins writes news about users' logins into the status of their Users. It is safe for concurrent use.
type Logins struct {
	Client client.Client // writes
	Reader client.Reader // reads the API server itself, not a cache
}

// WriteLogin applies one note to the status of a user. It writes nothing when the note changes nothing, or when the user is
// gone or another by now. After an error it may be called again with the same note: at worst failures count twice.
func (l *Logins) WriteLogin(ctx context.Context, user loginstate.User, note loginstate.Update) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	note = wholeSeconds(note)
	err := userStatuses{l.Client, l.Reader}.change(ctx, user.Key, user.UID, func(status *authv1alpha1.UserStatus) {
		setLogins(status, loginsOf(status).Apply(note))
	})
	if err != nil {
		return fmt.Errorf("write what is known of the logins of user %s: %w", user.Key, err)
	}
	return nil
}

// wholeSeconds rounds times as status keeps them, so that a note that was written before changes nothing. A lock does not
// get shorter by it.
func wholeSeconds(n loginstate.Update) loginstate.Update {
	if whole := n.LockedUntil.Truncate(time.Second); whole.Before(n.LockedUntil) {
		n.LockedUntil = whole.Add(time.Second)
	}
	n.IssuedAt = n.IssuedAt.Truncate(time.Second)
	return n
}

// loginsOf reads from a status what is kept of a user's logins.
func loginsOf(status *authv1alpha1.UserStatus) loginstate.State {
	state := loginstate.State{FailedLogins: int(status.FailedLogins)}
	if status.LockedUntil != nil {
		state.LockedUntil = status.LockedUntil.UTC()
	}
	if status.LastTokenIssuedAt != nil {
		state.LastTokenIssuedAt = status.LastTokenIssuedAt.UTC()
	}
	return state
}

// setLogins writes into a status what is kept of a user's logins.
func setLogins(status *authv1alpha1.UserStatus, s loginstate.State) {
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
