package record

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// unknownUser is the name of the user in the record of a token whose user this replica does not
// know. Such a record has no owner.
const unknownUser = "unknown"

// OfUnknownUser reports whether a replica that did not know the user has written a Token, which is one
// of a cache.
func OfUnknownUser(t *authv1alpha1.Token) bool {
	return t.Spec.UserRef.Name == unknownUser && stored.Misowned(t)
}

// checkReadable returns an error if the stored object breaks the schema. Such a record must not be
// built upon, because it counts as revoked only until someone corrects it.
func checkReadable(t *authv1alpha1.Token) error {
	fault := stored.Fault(t)
	if fault == "" {
		return nil
	}
	return fmt.Errorf("the stored Token %s breaks the schema; correct or delete it: %s", client.ObjectKeyFromObject(t), fault)
}

// labelPrefix begins the names of the records of labelled tokens.
const labelPrefix = "label-"

// labelName returns the name of the record of a labelled token, one for each user and label.
func labelName(uid, label string) string {
	sum := sha256.Sum256([]byte(uid + "\x00" + label)) // a UID does not contain a zero byte
	return labelPrefix + hex.EncodeToString(sum[:20])
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

// newToken returns the object of a record. The User owns it, so that it is deleted with the User.
func newToken(key types.NamespacedName, r directory.Record) *authv1alpha1.Token {
	_, user, known := strings.Cut(r.UserKey, "/")
	t := &authv1alpha1.Token{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: map[string]string{authv1alpha1.UserUIDLabel: r.UserUID}},
		Spec: authv1alpha1.TokenSpec{
			UserRef:     authv1alpha1.UserReference{Name: user, UID: r.UserUID},
			TokenID:     r.ID,
			Kind:        authv1alpha1.TokenKind(r.Kind),
			Label:       r.Label,
			Description: r.Description,
			Client:      r.Client,
			IssuedAt:    metav1.NewMicroTime(r.IssuedAt.UTC()),
			ExpiresAt:   metav1.NewMicroTime(r.ExpiresAt.UTC()),
			Final:       r.Final,
			Revoked:     r.Revoked,
		},
	}
	if !r.AuthTime.IsZero() {
		t.Spec.AuthenticatedAt = new(metav1.NewMicroTime(r.AuthTime.UTC()))
	}
	if r.Revoked {
		hold(t)
	}
	if known {
		t.OwnerReferences = Owner(user, r.UserUID)
	} else {
		t.Spec.UserRef.Name = unknownUser
	}
	return t
}

// Owner returns the owner of the Tokens of a user.
func Owner(name, uid string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: authv1alpha1.GroupVersion.String(), Kind: "User", Name: name, UID: types.UID(uid)}}
}

// FromToken returns the directory's record of a Token.
func FromToken(t *authv1alpha1.Token) directory.Record {
	r := directory.Record{
		ID:          t.Spec.TokenID,
		UserKey:     t.Namespace + "/" + t.Spec.UserRef.Name,
		UserUID:     t.Spec.UserRef.UID,
		Kind:        string(t.Spec.Kind),
		Label:       t.Spec.Label,
		Description: t.Spec.Description,
		Client:      t.Spec.Client,
		IssuedAt:    t.Spec.IssuedAt.UTC(),
		ExpiresAt:   t.Spec.ExpiresAt.UTC(),
		Final:       t.Spec.Final,
		Revoked:     t.Spec.Revoked,
	}
	if t.Spec.AuthenticatedAt != nil {
		r.AuthTime = t.Spec.AuthenticatedAt.UTC()
	}
	if r.Revoked {
		r.RevokedUntil = r.ExpiresAt
	}
	return r
}

// Revoke revokes the token of an object, which keeps nothing that is only there to be read and is
// held until the token has ended.
func Revoke(t *authv1alpha1.Token) {
	hold(t)
	t.Spec.Revoked = true
	t.Spec.Label, t.Spec.Description, t.Spec.Client = "", "", ""
}

// hold keeps an object from being deleted until Release. That is too late for one that is being
// deleted.
func hold(t *authv1alpha1.Token) {
	if t.DeletionTimestamp == nil {
		controllerutil.AddFinalizer(t, authv1alpha1.TokenFinalizer)
	}
}

// Held reports whether an object stays until Release when it is deleted.
func Held(t *authv1alpha1.Token) bool {
	return controllerutil.ContainsFinalizer(t, authv1alpha1.TokenFinalizer)
}

// Release lets an object go that is being deleted. It does nothing if the object does not exist any
// longer.
func Release(ctx context.Context, c client.Client, t *authv1alpha1.Token) error {
	kept := t.DeepCopy()
	if !controllerutil.RemoveFinalizer(kept, authv1alpha1.TokenFinalizer) {
		return nil
	}
	// The UID makes the patch one of this object and no later one of its name.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": t.UID, "finalizers": kept.Finalizers}})
	if err != nil {
		return err
	}
	err = c.Patch(ctx, kept, client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsConflict(err) {
		return nil // the object is gone, and there is another one of its name
	}
	return client.IgnoreNotFound(err)
}

// revokes reports whether an object, once it is revoked, keeps the token of r revoked to its end.
// Someone may have made the object by hand, or be deleting it.
func revokes(t *authv1alpha1.Token, r directory.Record) bool {
	return (t.DeletionTimestamp == nil || Held(t)) && t.Spec.TokenID == r.ID && t.Spec.UserRef.UID == r.UserUID && !t.Spec.ExpiresAt.Time.Before(r.ExpiresAt.Truncate(time.Microsecond))
}
