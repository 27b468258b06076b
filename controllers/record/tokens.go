// Package record writes what must outlive the process to the API server while a client waits: token records as Tokens, and what is
// known of logins into the status of Users.
package record

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
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

// attempts is how often an act is begun anew because another replica was faster.
const attempts = 10

// Tokens keeps token records as Tokens and revocations by user name in the status of Users. What it has kept it puts
// into the Directory before it returns, so that this replica knows it before its informers do. Every error wraps
// grant.ErrUnavailable, and then the outcome on the API server may be unknown, but nothing was promised to anybody. It is
// safe for concurrent use and must not be copied.
type Tokens struct {
	Client    client.Client // writes
	Reader    client.Reader // reads the API server itself, not a cache
	Directory *directory.Directory
	Now       func() time.Time

	flights singleflight.Group
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=get;create;patch;delete,namespace=gatehouse-users

// CreateLabelled keeps the record of a token with a label, or returns the one that is kept already when keep says that it is
// still good. The object is named after user and label, so that of any number of replicas one makes it and the others find
// it. Callers who ask for the same label at the same time share one answer.
func (t *Tokens) CreateLabelled(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	key := keyOf(r, labelName(r.UserUID, r.Label))
	flight := t.flights.DoChan(key.String(), func() (any, error) {
		ctx, cancel := bounded(ctx)
		defer cancel()
		return t.createLabelled(ctx, r, keep)
	})
	select {
	case result := <-flight:
		kept, _ := result.Val.(directory.Record)
		return kept, grant.Unavailable("keep the record of a labelled token", result.Err)
	case <-ctx.Done():
		return directory.Record{}, grant.Unavailable("keep the record of a labelled token", ctx.Err())
	}
}

func (t *Tokens) createLabelled(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	key := keyOf(r, labelName(r.UserUID, r.Label))
	for range attempts {
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
		known, err := t.known(ctx, existing)
		if err != nil {
			return directory.Record{}, err
		}
		if known.UserUID == r.UserUID && known.Label == r.Label && keep(known) {
			t.Directory.PutRecord(known)
			return known, nil
		}
		if err := t.retire(ctx, existing); err != nil {
			return directory.Record{}, err
		}
	}
	return directory.Record{}, errors.New("the record changes too often")
}

// known is the record that an object of a label stands for. Its token may also be revoked in a record of its own: a replica that
// did not know the label yet has kept the revocation there.
func (t *Tokens) known(ctx context.Context, labelled *authv1alpha1.Token) (directory.Record, error) {
	r := FromToken(labelled)
	if err := readable(labelled); err != nil || r.Revoked {
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

// retire makes room for another token of the same label. A revocation that still matters moves to a record of its own first,
// and the object goes only as it was read, so that a revocation in between is not lost.
func (t *Tokens) retire(ctx context.Context, old *authv1alpha1.Token) error {
	if old.Spec.Revoked && t.Now().Before(old.Spec.ExpiresAt.Time) {
		if err := t.keepRevoked(ctx, FromToken(old)); err != nil {
			return err
		}
	}
	err := t.Client.Delete(ctx, old, client.Preconditions{UID: &old.UID, ResourceVersion: &old.ResourceVersion})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another replica was faster: look again
	}
	return err
}

// userUIDLabel is the metadata label of a Token by which those of one user are listed.
const userUIDLabel = authv1alpha1.Group + "/user-uid"

// CountLabelled counts records with a label of a user as the API server has them.
func (t *Tokens) CountLabelled(ctx context.Context, u *directory.User, counts func(directory.Record) bool) (int, error) {
	ctx, cancel := bounded(ctx)
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

// Labelled returns the record of a user and a label as the API server has it.
func (t *Tokens) Labelled(ctx context.Context, u *directory.User, label string) (directory.Record, bool, error) {
	ctx, cancel := bounded(ctx)
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

// Revoke keeps that a token is revoked: in the record of its label, if it has one, else in a record named after its id. Doing
// so again, or on several replicas at once, is no error.
func (t *Tokens) Revoke(ctx context.Context, r directory.Record) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := t.revoke(ctx, r); err != nil {
		return grant.Unavailable("keep the revocation of a token", err)
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
	return t.keepRevoked(ctx, r)
}

// keepRevoked makes sure that there is a record under the token's id that says revoked.
func (t *Tokens) keepRevoked(ctx context.Context, r directory.Record) error {
	r.Revoked = true
	key := keyOf(r, idName(r.ID))
	for range attempts {
		err := t.Client.Create(ctx, newToken(key, r))
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		found, err := t.markRevoked(ctx, key, r.ID)
		if found || err != nil {
			return err
		}
	}
	return fmt.Errorf("token %s is not the record of the token that it is named after", key)
}

// markRevoked revokes in an existing record and says whether there is one, of this very token, under this name.
func (t *Tokens) markRevoked(ctx context.Context, key types.NamespacedName, id string) (found bool, err error) {
	err = onConflict(ctx, func() error {
		token := &authv1alpha1.Token{}
		if err := t.Reader.Get(ctx, key, token); err != nil {
			return err
		}
		if err := readable(token); err != nil {
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

// RevokeUser keeps in the user's status that every token issued up to and including the second of at is void. The time there
// never moves back. A user who is gone by now, or is another, has no tokens to revoke.
func (t *Tokens) RevokeUser(ctx context.Context, u *directory.User, at time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	at = at.UTC().Truncate(time.Second)
	err := userStatuses{t.Client, t.Reader}.change(ctx, u.Key, u.UID, func(status *authv1alpha1.UserStatus) {
		if status.TokensRevokedAt == nil || status.TokensRevokedAt.Time.Before(at) {
			status.TokensRevokedAt = &metav1.Time{Time: at}
		}
	})
	if err != nil {
		return grant.Unavailable("keep the revocation of a user's tokens", err)
	}
	t.Directory.RevokeTokens(u.UID, at)
	return nil
}

// readable refuses to build on a record whose stored object breaks the schema: it counts as revoked only until somebody corrects it.
func readable(t *authv1alpha1.Token) error {
	if t.Unreadable == "" {
		return nil
	}
	return fmt.Errorf("the stored Token %s breaks the schema; correct or delete it: %s", client.ObjectKeyFromObject(t), t.Unreadable)
}

// labelName names the record of a labelled token, so that a user has one for each label.
func labelName(uid, label string) string {
	sum := sha256.Sum256([]byte(uid + "\x00" + label)) // a UID has no zero byte
	return "label-" + hex.EncodeToString(sum[:20])
}

// idName names a record after the token's id, which is base64url and has capitals that names may not have.
func idName(id string) string {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		raw = []byte(id) // made by hand
	}
	return "token-" + hex.EncodeToString(raw)
}

// keyOf is the place of a record's object, beside its user's.
func keyOf(r directory.Record, name string) types.NamespacedName {
	namespace, _, _ := strings.Cut(r.UserKey, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// newToken makes the object of a record. It belongs to the user's object and goes with it.
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

// FromToken is a Token as the directory holds it.
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
