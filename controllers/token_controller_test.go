package controllers

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// newToken creates the record of a token with a lifetime of four hours that expires at ends.
func newToken(w *apitest.World, name string, ends time.Time) *authv1alpha1.Token {
	w.T.Helper()
	t := &authv1alpha1.Token{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: name}}
	t.Spec = authv1alpha1.TokenSpec{
		UserRef: authv1alpha1.UserReference{Name: "jean", UID: "some-uid"}, TokenID: "id-of-" + name, Kind: authv1alpha1.TokenOpaque,
		Label: "four-hour token", IssuedAt: metav1.NewMicroTime(ends.Add(-4 * time.Hour)), ExpiresAt: metav1.NewMicroTime(ends),
	}
	w.MustCreate(t)
	return t
}

func TestRecordReachesDirectory(t *testing.T) {
	w := apitest.NewWorld(t)
	ends := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	newToken(w, "before-start", ends)
	d := newReplica(w)
	if _, ok := d.Record("some-uid", "id-of-before-start"); !ok {
		t.Error("a record from before the start is missing although the directory is synced")
	}
	token := newToken(w, "t", ends)
	w.Eventually("the record is there", func() bool { _, ok := d.Record("some-uid", "id-of-t"); return ok })
	r, _ := d.Record("some-uid", "id-of-t")
	if !r.ExpiresAt.Equal(ends) || r.UserUID != "some-uid" || r.UserKey != w.NS+"/jean" || r.Label != "four-hour token" || r.Kind != "Opaque" {
		t.Errorf("record = %+v", r)
	}
	w.MustPatch(token, `{"spec":{"revoked":true}}`)
	w.Eventually("the record is revoked", func() bool { r, _ := d.Record("some-uid", "id-of-t"); return r.Revoked })
	w.MustDelete(token)
	w.Eventually("the record is gone", func() bool { _, ok := d.Record("some-uid", "id-of-t"); return !ok })
}

// While a label moves on to another token, two objects describe the old, revoked one. The separate
// record must keep that token void.
func TestRevokedTokenStaysVoidAfterRelabel(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	ends := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	labelled := newToken(w, "t", ends)
	w.MustPatch(labelled, `{"spec":{"revoked":true}}`)
	w.Eventually("the record is revoked", func() bool { r, _ := d.Record("some-uid", "id-of-t"); return r.Revoked })
	own := labelled.DeepCopy()
	own.ObjectMeta = metav1.ObjectMeta{Namespace: w.NS, Name: "its-own"}
	w.MustCreate(own)
	w.Eventually("the record is held", func() bool { return len(readToken(w, "t").Finalizers) == 1 })
	w.MustDelete(labelled)
	w.MustPatch(labelled, `{"metadata":{"finalizers":null}}`)
	next := labelled.DeepCopy()
	next.ObjectMeta = metav1.ObjectMeta{Namespace: w.NS, Name: "t"}
	next.Spec.TokenID, next.Spec.Revoked = "id-of-next", false
	w.MustCreate(next)
	w.Eventually("the next token is on record", func() bool { _, ok := d.Record("some-uid", "id-of-next"); return ok })
	if r, ok := d.Record("some-uid", "id-of-t"); !ok || !r.Revoked {
		t.Errorf("the revoked token's record is %+v, want it revoked", r)
	}
	w.MustDelete(own)
	w.Eventually("the old record is gone", func() bool { _, ok := d.Record("some-uid", "id-of-t"); return !ok })
	if _, ok := d.Record("some-uid", "id-of-next"); !ok {
		t.Error("the record of the next token is gone too")
	}
}

func TestExpiredTokenIsDeleted(t *testing.T) {
	w := apitest.NewWorld(t)
	ended := newToken(w, "ended", time.Now().Add(-removalDelay-time.Second))
	fresh := newToken(w, "fresh", time.Now().Add(-removalDelay/2))
	d := newReplica(w)
	w.Eventually("the expired token is deleted", func() bool {
		err := w.Get(t.Context(), client.ObjectKeyFromObject(ended), &authv1alpha1.Token{})
		_, known := d.Record("some-uid", "id-of-ended")
		return apierrors.IsNotFound(err) && !known
	})
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(fresh), &authv1alpha1.Token{}); err != nil {
		t.Errorf("a token that has just expired: %v", err)
	}
}

func TestForgedRecordRevivesNothing(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	token := newToken(w, "t", time.Now().Add(time.Hour).Truncate(time.Millisecond))
	w.MustPatch(token, `{"spec":{"revoked":true}}`)
	w.Eventually("the record is revoked", func() bool { r, _ := d.Record("some-uid", "id-of-t"); return r.Revoked })
	forged := token.DeepCopy()
	forged.ObjectMeta = metav1.ObjectMeta{Namespace: w.NS, Name: "forged"}
	forged.Spec.UserRef.UID, forged.Spec.Revoked = "another-uid", false
	w.MustCreate(forged)
	w.Eventually("the other record is there", func() bool { _, ok := d.Record("another-uid", "id-of-t"); return ok })
	if r, ok := d.Record("some-uid", "id-of-t"); !ok || !r.Revoked {
		t.Errorf("the revoked token's record is %+v", r)
	}
	w.MustDelete(forged)
	w.Eventually("the other record is gone", func() bool { _, ok := d.Record("another-uid", "id-of-t"); return !ok })
	if r, ok := d.Record("some-uid", "id-of-t"); !ok || !r.Revoked {
		t.Errorf("after the forged record is gone, the revoked token's record is %+v", r)
	}
}
