// Package record writes what must outlive the process to the API server while a client waits: token
// records as Tokens, and login state to the status of Users.
package record

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
)

// maximumAttempts limits how often an operation starts over because another replica was faster.
const maximumAttempts = 10

// Tokens keeps token records as Tokens, and revocations of all tokens of a user in the status of
// its User. It also puts what it has written into the Directory before it returns, so that this
// replica does not wait for its informers. Every error wraps grant.ErrUnavailable. After an error
// the outcome on the API server may be unknown, but the client has not been promised anything.
// Tokens is safe for concurrent use and must not be copied after first use.
type Tokens struct {
	Client    client.Client // writes
	Reader    client.Reader // reads from the API server, not from a cache
	Directory *directory.Directory
	Now       func() time.Time

	flights singleflight.Group
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=get;create;patch;delete,namespace=gatehouse-users

// CreateLabelled stores the record of a token with a label, or returns the existing record if keep
// reports that it is still valid. The name of the object is derived from user and label, so that
// one of any number of replicas creates it and the others find it. Concurrent calls for the same
// label share one result.
func (t *Tokens) CreateLabelled(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	key := keyOf(r, labelName(r.UserUID, r.Label))
	flight := t.flights.DoChan(key.String(), func() (any, error) {
		ctx, cancel := withTimeout(ctx)
		defer cancel()
		return t.createLabelled(ctx, r, keep)
	})
	select {
	case result := <-flight:
		kept, _ := result.Val.(directory.Record)
		return kept, grant.Unavailable("store the record of a labelled token", result.Err)
	case <-ctx.Done():
		return directory.Record{}, grant.Unavailable("store the record of a labelled token", ctx.Err())
	}
}

func (t *Tokens) createLabelled(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	key := keyOf(r, labelName(r.UserUID, r.Label))
	for range maximumAttempts {
		err := t.Client.Create(ctx, newToken(key, r))
		if err == nil {
			t.Directory.PutRecord(r)
			return r, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return directory.Record{}, err
		}
		existing := &authv1alpha1.Token{}
		if err := t.Reader.Get(ctx, key, existing); apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return directory.Record{}, err
		}
		known, err := t.effectiveRecord(ctx, existing)
		if err != nil {
			return directory.Record{}, err
		}
		if known.UserUID == r.UserUID && known.Label == r.Label && keep(known) {
			t.Directory.PutRecord(known)
			return known, nil
		}
		if err := t.deleteRecord(ctx, existing); err != nil {
			return directory.Record{}, err
		}
	}
	return directory.Record{}, fmt.Errorf("token %s changed during each of %d attempts; try again", key, maximumAttempts)
}

// effectiveRecord returns the record of a labelled Token. The token may also have been revoked in a
// separate Token, by a replica that did not know its label yet.
func (t *Tokens) effectiveRecord(ctx context.Context, labelled *authv1alpha1.Token) (directory.Record, error) {
	r := FromToken(labelled)
	if err := checkReadable(labelled); err != nil || r.Revoked {
		return r, err
	}
	own := &authv1alpha1.Token{}
	key := types.NamespacedName{Namespace: labelled.Namespace, Name: idName(r.ID)}
	err := t.Reader.Get(ctx, key, own)
	if apierrors.IsNotFound(err) {
		return r, nil
	}
	r.Revoked = own.Spec.Revoked && own.Spec.TokenID == r.ID
	return r, err
}

// deleteRecord deletes an old Token to make room for another token with the same label. If the old
// token is revoked and has not expired, deleteRecord stores the revocation in a separate Token
// first. It deletes only the version that was read, so that a revocation in between is not lost.
func (t *Tokens) deleteRecord(ctx context.Context, old *authv1alpha1.Token) error {
	if old.Spec.Revoked && t.Now().Before(old.Spec.ExpiresAt.Time) {
		if err := t.storeRevoked(ctx, FromToken(old)); err != nil {
			return err
		}
	}
	err := t.Client.Delete(ctx, old, client.Preconditions{UID: &old.UID, ResourceVersion: &old.ResourceVersion})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another replica was faster; the caller reads again
	}
	return err
}

// userUIDLabel is the label in a Token's metadata that selects all Tokens of a user.
const userUIDLabel = authv1alpha1.Group + "/user-uid"

// CountLabelled returns the number of a user's records on the API server that have a label and for
// which counts returns true.
func (t *Tokens) CountLabelled(ctx context.Context, u *directory.User, counts func(directory.Record) bool) (int, error) {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	var kept authv1alpha1.TokenList
	namespace, _, _ := strings.Cut(u.Key, "/")
	if err := t.Reader.List(ctx, &kept, client.InNamespace(namespace), client.MatchingLabels{userUIDLabel: u.UID}); err != nil {
		return 0, grant.Unavailable("count the labelled tokens of a user", err)
	}
	n := 0
	for i := range kept.Items {
		if r := FromToken(&kept.Items[i]); r.Label != "" && r.UserUID == u.UID && counts(r) {
			n++
		}
	}
	return n, nil
}

// Labelled returns the record for a user and a label from the API server, and whether it exists.
func (t *Tokens) Labelled(ctx context.Context, u *directory.User, label string) (directory.Record, bool, error) {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	token := &authv1alpha1.Token{}
	key := keyOf(directory.Record{UserKey: u.Key}, labelName(u.UID, label))
	if err := t.Reader.Get(ctx, key, token); apierrors.IsNotFound(err) {
		return directory.Record{}, false, nil
	} else if err != nil {
		return directory.Record{}, false, grant.Unavailable("look up the record of a labelled token", err)
	}
	r := FromToken(token)
	return r, r.UserUID == u.UID && r.Label == label, nil
}

// Revoke stores the revocation of a token: in the record of its label, if there is one, and
// otherwise in a record named after its id. It is idempotent, also across replicas.
func (t *Tokens) Revoke(ctx context.Context, r directory.Record) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	if err := t.revoke(ctx, r); err != nil {
		return grant.Unavailable("store the revocation of a token", err)
	}
	r.Revoked = true
	t.Directory.PutRecord(r)
	return nil
}

func (t *Tokens) revoke(ctx context.Context, r directory.Record) error {
	if r.Label != "" {
		found, err := t.markRevoked(ctx, keyOf(r, labelName(r.UserUID, r.Label)), r.ID)
		if found || err != nil {
			return err
		}
	}
	return t.storeRevoked(ctx, r)
}

// storeRevoked ensures that a record named after the token's id exists and marks the token
// revoked.
func (t *Tokens) storeRevoked(ctx context.Context, r directory.Record) error {
	r.Revoked = true
	key := keyOf(r, idName(r.ID))
	for range maximumAttempts {
		err := t.Client.Create(ctx, newToken(key, r))
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		found, err := t.markRevoked(ctx, key, r.ID)
		if found || err != nil {
			return err
		}
	}
	return fmt.Errorf("object %s belongs to another token than its name says; delete it and try again", key)
}

// markRevoked revokes an existing record and reports whether there is one with this name for this
// token.
func (t *Tokens) markRevoked(ctx context.Context, key types.NamespacedName, id string) (found bool, err error) {
	err = retryOnConflict(ctx, func() error {
		token := &authv1alpha1.Token{}
		if err := t.Reader.Get(ctx, key, token); err != nil {
			return err
		}
		if err := checkReadable(token); err != nil {
			return err
		}
		if found = token.Spec.TokenID == id; !found || token.Spec.Revoked {
			return nil
		}
		patch := client.MergeFromWithOptions(token.DeepCopy(), client.MergeFromWithOptimisticLock{})
		token.Spec.Revoked = true
		return t.Client.Patch(ctx, token, patch)
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
	at = at.UTC().Truncate(time.Second)
	err := userStatuses{t.Client, t.Reader}.change(ctx, u.Key, u.UID, func(status *authv1alpha1.UserStatus) {
		if status.TokensRevokedAt == nil || status.TokensRevokedAt.Time.Before(at) {
			status.TokensRevokedAt = &metav1.Time{Time: at}
		}
	})
	if err != nil {
		return grant.Unavailable("store the revocation of a user's tokens", err)
	}
	t.Directory.RevokeTokens(u.UID, at)
	return nil
}

// checkReadable returns an error if the stored object breaks the schema. Such a record must not be
// built upon, because it counts as revoked only until someone corrects it.
func checkReadable(t *authv1alpha1.Token) error {
	if t.Unreadable == "" {
		return nil
	}
	return fmt.Errorf("the stored Token %s breaks the schema; correct or delete it: %s", client.ObjectKeyFromObject(t), t.Unreadable)
}

// labelName returns the name of the record of a labelled token, one for each user and label.
func labelName(uid, label string) string {
	sum := sha256.Sum256([]byte(uid + "\x00" + label)) // a UID does not contain a zero byte
	return "label-" + hex.EncodeToString(sum[:20])
}

// idName returns the name of a record derived from the token's id. The id is base64url and may
// contain capital letters, which names may not.
func idName(id string) string {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		raw = []byte(id) // the record was made by hand
	}
	return "token-" + hex.EncodeToString(raw)
}

// keyOf returns the namespace and name of a record's object, in the namespace of its user.
func keyOf(r directory.Record, name string) types.NamespacedName {
	namespace, _, _ := strings.Cut(r.UserKey, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// newToken returns the object of a record. The User owns it, so that it is deleted with the User.
func newToken(key types.NamespacedName, r directory.Record) *authv1alpha1.Token {
	_, user, _ := strings.Cut(r.UserKey, "/")
	return &authv1alpha1.Token{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace,
			Name:      key.Name,
			Labels:    map[string]string{userUIDLabel: r.UserUID},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: authv1alpha1.GroupVersion.String(), Kind: "User", Name: user, UID: types.UID(r.UserUID),
			}},
		},
		Spec: authv1alpha1.TokenSpec{
			UserRef:     authv1alpha1.UserReference{Name: user, UID: r.UserUID},
			TokenID:     r.ID,
			Kind:        authv1alpha1.TokenKind(r.Kind),
			Label:       r.Label,
			Description: r.Description,
			Client:      r.Client,
			IssuedAt:    metav1.NewMicroTime(r.IssuedAt.UTC()),
			ExpiresAt:   metav1.NewMicroTime(r.ExpiresAt.UTC()),
			Revoked:     r.Revoked,
		},
	}
}

// FromToken returns the directory's record of a Token.
func FromToken(t *authv1alpha1.Token) directory.Record {
	return directory.Record{
		ID:          t.Spec.TokenID,
		UserKey:     t.Namespace + "/" + t.Spec.UserRef.Name,
		UserUID:     t.Spec.UserRef.UID,
		Kind:        string(t.Spec.Kind),
		Label:       t.Spec.Label,
		Description: t.Spec.Description,
		Client:      t.Spec.Client,
		IssuedAt:    t.Spec.IssuedAt.UTC(),
		ExpiresAt:   t.Spec.ExpiresAt.UTC(),
		Revoked:     t.Spec.Revoked,
	}
}
