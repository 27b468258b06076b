package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
)

// Revoke stores the revocation of a token: in the record of its label, if there is one, and
// otherwise in a record named after its id. If that takes a record more than the user may have, or
// than the quota of the namespace allows, it revokes all tokens of the user instead. It is
// idempotent, also across replicas.
func (t *Tokens) Revoke(ctx context.Context, r directory.Record) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	err := t.exclusively(ctx, &t.revocations, r.UserUID, func() error { return t.revoke(ctx, r) })
	return grant.Unavailable("store the revocation of a token", err)
}

func (t *Tokens) revoke(ctx context.Context, r directory.Record) error {
	stored, err := t.markRecorded(ctx, r)
	if err == nil && !stored {
		err = t.storeRevoked(ctx, t.Revocations, r)
	}
	if noRoom(err) {
		return t.revokeInstead(ctx, r)
	}
	if err == nil {
		t.Directory.PutRecord(r.AsRevoked())
	}
	return err
}

// markRecorded revokes the record that a token has by its label, and reports whether there is one.
func (t *Tokens) markRecorded(ctx context.Context, r directory.Record) (bool, error) {
	if r.Label == "" {
		return false, nil
	}
	return t.markRevoked(ctx, t.Revocations, t.keyOf(r, labelName(r.UserUID, r.Label)), r)
}

// revokeInstead revokes all tokens of a user, among them one that there is no room to record.
func (t *Tokens) revokeInstead(ctx context.Context, r directory.Record) error {
	u, ok := t.Directory.ByUID(r.UserUID)
	if !ok {
		return errors.New("the user is not known yet and has too many token records")
	}
	at := t.Now()
	if r.IssuedAt.After(at) { // by a replica whose clock is ahead
		at = r.IssuedAt
	}
	return t.revokeUser(ctx, u, at)
}

// storeRevoked ensures that there is a record that keeps a token revoked until its end. The record
// is named after the token's id. If someone has made another object of that name by hand, it has a
// random name. The caller holds the lock of the user.
func (t *Tokens) storeRevoked(ctx context.Context, c client.Client, r directory.Record) error {
	revoked := r.AsRevoked()
	key := t.keyOf(r, idName(r.ID))
	for range maximumAttempts {
		addErr := t.add(ctx, c, newToken(key, revoked))
		if !apierrors.IsAlreadyExists(addErr) && !noRoom(addErr) {
			return addErr // or nil
		}
		if found, err := t.markRevoked(ctx, c, key, r); found || err != nil {
			return err
		}
		if noRoom(addErr) {
			return addErr
		}
		key.Name = idName(r.ID) + "-" + rand.String(8)
	}
	return fmt.Errorf("token %s changed during each of %d attempts; try again", key, maximumAttempts)
}

// markRevoked revokes an existing record and reports whether there is one with this name that keeps
// the token of r revoked until its end.
func (t *Tokens) markRevoked(ctx context.Context, c client.Client, key types.NamespacedName, r directory.Record) (found bool, err error) {
	err = retryOnConflict(ctx, func() error {
		token := &authv1alpha1.Token{}
		if err := c.Get(ctx, key, token); err != nil {
			return err
		}
		if err := checkReadable(token); err != nil {
			return err
		}
		if found = revokes(token, r); !found || token.Spec.Revoked {
			return nil
		}
		patch := client.MergeFromWithOptions(token.DeepCopy(), client.MergeFromWithOptimisticLock{})
		Revoke(token)
		return c.Patch(ctx, token, patch)
	})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return found, err
}

// RevokeUser records in the user's status that every token issued up to and including the second of
// at is void. That time never moves back. RevokeUser does nothing if the User does not exist or no
// longer has this UID, because then there are no tokens to revoke.
func (t *Tokens) RevokeUser(ctx context.Context, u *directory.User, at time.Time) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	err := t.exclusively(ctx, &t.revocations, u.UID, func() error { return t.revokeUser(ctx, u, at) })
	return grant.Unavailable("store the revocation of a user's tokens", err)
}

func (t *Tokens) revokeUser(ctx context.Context, u *directory.User, at time.Time) error {
	at = at.UTC().Truncate(time.Second)
	err := userStatuses{t.Revocations, t.Revocations}.change(ctx, u.Key, u.UID, func(status *authv1alpha1.UserStatus) {
		if status.TokensRevokedAt == nil || status.TokensRevokedAt.Time.Before(at) {
			status.TokensRevokedAt = &metav1.Time{Time: at}
		}
	})
	if err == nil {
		t.Directory.RevokeTokens(u.UID, at)
	}
	return err
}
