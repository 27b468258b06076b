package controllers

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/record"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// ownedToken creates a User and a Token of it, as the service does.
func ownedToken(w *apitest.World, d *directory.Directory) *authv1alpha1.Token {
	w.T.Helper()
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: "jean"}}
	w.MustCreate(u)
	w.Eventually("the user is known", func() bool { _, ok := d.ByUID(string(u.UID)); return ok })
	t := &authv1alpha1.Token{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.NS, Name: "t", OwnerReferences: record.Owner("jean", string(u.UID)),
		Labels: map[string]string{authv1alpha1.UserUIDLabel: string(u.UID)},
	}}
	t.Spec = authv1alpha1.TokenSpec{
		UserRef: authv1alpha1.UserReference{Name: "jean", UID: string(u.UID)}, TokenID: "an-id", Kind: authv1alpha1.TokenOpaque,
		IssuedAt: metav1.NowMicro(), ExpiresAt: metav1.NewMicroTime(time.Now().Add(time.Hour)),
	}
	w.MustCreate(t)
	return t
}

// owned reports whether the stored Token has the owner and the label that the service gives it.
func owned(w *apitest.World, t *authv1alpha1.Token) bool {
	w.T.Helper()
	o := &authv1alpha1.Token{}
	err := w.Get(w.T.Context(), client.ObjectKeyFromObject(t), o)
	return err == nil && len(o.OwnerReferences) == 1 && string(o.OwnerReferences[0].UID) == t.Spec.UserRef.UID &&
		o.OwnerReferences[0].Name == "jean" && o.Labels[authv1alpha1.UserUIDLabel] == t.Spec.UserRef.UID
}

const foreignOwner = `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"00000000-0000-4000-8000-000000000000"}]}}`

func TestTokenGetsItsOwnerBack(t *testing.T) {
	w := apitest.NewWorld(t)
	token := ownedToken(w, newReplica(w))
	for _, patch := range []string{
		foreignOwner, `{"metadata":{"ownerReferences":null}}`, `{"metadata":{"labels":null}}`,
		`{"metadata":{"managedFields":[{}],"ownerReferences":null}}`,
	} {
		w.MustPatch(token.DeepCopy(), patch)
		w.Eventually("the owner is back after "+patch, func() bool { return owned(w, token) })
	}
}

// The garbage collector deletes a Token whose owner does not exist. The API server of the tests has
// none, so the test deletes it.
func TestCollectedTokenIsCreatedAgain(t *testing.T) {
	w := apitest.NewWorld(t)
	token := ownedToken(w, newReplica(w))
	for range 5 { // to be faster than the reconciler at least once
		forged := token.DeepCopy()
		w.MustPatch(forged, foreignOwner)
		// Only this version: if the reconciler was faster, the owner exists and nothing is collected.
		err := w.Delete(t.Context(), forged, client.Preconditions{UID: &forged.UID, ResourceVersion: &forged.ResourceVersion})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
		w.Eventually("the Token is there and owned", func() bool { return owned(w, token) })
		token = readToken(w, token.Name)
	}
}

func TestTokenDeletedByHandStaysDeleted(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	token := ownedToken(w, d)
	w.Eventually("the record is there", func() bool { _, ok := d.Record(token.Spec.UserRef.UID, token.Spec.TokenID); return ok })
	w.MustDelete(token)
	w.Eventually("the record is gone", func() bool { _, ok := d.Record(token.Spec.UserRef.UID, token.Spec.TokenID); return !ok })
	r := &TokenRepairReconciler{misowned: map[client.ObjectKey]time.Time{}, now: time.Now}
	if r.remember(token) {
		t.Error("a Token that had its owner is created again")
	}
}

func TestRevokedTokenLosesItsTexts(t *testing.T) {
	w := apitest.NewWorld(t)
	newReplica(w)
	token := newToken(w, "t", time.Now().Add(time.Hour))
	w.MustPatch(token, `{"spec":{"revoked":true}}`)
	w.Eventually("the label is gone", func() bool {
		o := &authv1alpha1.Token{}
		return w.Get(t.Context(), client.ObjectKeyFromObject(token), o) == nil && o.Spec.Revoked && o.Spec.Label == ""
	})
}
