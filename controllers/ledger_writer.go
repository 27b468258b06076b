package controllers

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/ledger"
)

// StatusLedger writes news about users' logins into the status of their Users. It is safe for concurrent use.
type StatusLedger struct {
	Client client.Client // writes
	Reader client.Reader // reads the API server itself, not a cache
}

// WriteNote applies one note to the status of a user. It writes nothing when the note changes nothing, or when the user is
// gone or another by now. After an error it may be called again with the same note: at worst failures count twice.
func (l *StatusLedger) WriteNote(ctx context.Context, user ledger.User, note ledger.Note) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
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
func wholeSeconds(n ledger.Note) ledger.Note {
	if whole := n.LockedUntil.Truncate(time.Second); whole.Before(n.LockedUntil) {
		n.LockedUntil = whole.Add(time.Second)
	}
	n.IssuedAt = n.IssuedAt.Truncate(time.Second)
	return n
}

// loginsOf reads from a status what is kept of a user's logins.
func loginsOf(status *authv1alpha1.UserStatus) ledger.State {
	state := ledger.State{FailedLogins: int(status.FailedLogins)}
	if status.LockedUntil != nil {
		state.LockedUntil = status.LockedUntil.UTC()
	}
	if status.LastTokenIssuedAt != nil {
		state.LastTokenIssuedAt = status.LastTokenIssuedAt.UTC()
	}
	return state
}

// setLogins writes into a status what is kept of a user's logins.
func setLogins(status *authv1alpha1.UserStatus, s ledger.State) {
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

// userStatuses changes single fields of the status of Users, whoever else writes there.
type userStatuses struct {
	client client.Client
	reader client.Reader // not a cache: what it lacks would be taken back
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users,verbs=get,namespace=gatehouse-users
// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users/status,verbs=patch,namespace=gatehouse-users

// change lets a function change the status of a user and writes what is different by it, if anything. It begins anew when
// somebody else has written meanwhile. A user who is gone or is another by now is left alone.
func (s userStatuses) change(ctx context.Context, key, uid string, change func(*authv1alpha1.UserStatus)) error {
	namespace, name, _ := strings.Cut(key, "/")
	err := onConflict(ctx, func() error {
		user := &authv1alpha1.User{}
		if err := s.reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, user); err != nil {
			return err
		}
		before := user.DeepCopy()
		change(&user.Status)
		if string(user.UID) != uid || equality.Semantic.DeepEqual(before.Status, user.Status) {
			return nil
		}
		return s.client.Status().Patch(ctx, user, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	return client.IgnoreNotFound(err)
}

// onConflict calls a function again while it returns conflicts, at random moments and until the context ends.
func onConflict(ctx context.Context, f func() error) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		err := f()
		if !apierrors.IsConflict(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(pause)): //nolint:gosec // spreads writes, guards nothing
		}
	}
}
