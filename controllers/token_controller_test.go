package controllers

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// token creates the record of a token that was issued an hour ago and ends at the given time.
func (w *world) token(name string, ends time.Time) *authv1alpha1.Token {
	w.t.Helper()
	t := &authv1alpha1.Token{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	t.Spec = authv1alpha1.TokenSpec{
		UserRef: authv1alpha1.UserReference{Name: "jean", UID: "some-uid"}, TokenID: "id-of-" + name, Kind: authv1alpha1.TokenOpaque,
		Label: "four-hour token", IssuedAt: metav1.NewMicroTime(ends.Add(-4 * time.Hour)), ExpiresAt: metav1.NewMicroTime(ends),
	}
	w.create(t)
	return t
}

func TestARecordReachesTheDirectoryToTheMillisecond(t *testing.T) {
	w := newWorld(t)
	ends := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	w.token("before-start", ends)
	d := w.replica()
	if _, ok := d.Record("some-uid", "id-of-before-start"); !ok {
		t.Error("a record from before the start is missing although the directory is synced")
	}
	token := w.token("t", ends)
	w.eventually("the record is there", func() bool { _, ok := d.Record("some-uid", "id-of-t"); return ok })
	r, _ := d.Record("some-uid", "id-of-t")
	if !r.ExpiresAt.Equal(ends) || r.UserUID != "some-uid" || r.UserKey != w.ns+"/jean" || r.Label != "four-hour token" || r.Kind != "Opaque" {
		t.Errorf("record = %+v", r)
	}
	w.patch(token, `{"spec":{"revoked":true}}`)
	w.eventually("the record is revoked", func() bool { r, _ := d.Record("some-uid", "id-of-t"); return r.Revoked })
	w.delete(token)
	w.eventually("the record is gone", func() bool { _, ok := d.Record("some-uid", "id-of-t"); return !ok })
}

// A label that gets another token leaves two objects that speak of the old, revoked one for a moment; the record of its own
// must keep it void.
func TestARevokedTokenStaysVoidWhenItsLabelGetsAnotherToken(t *testing.T) {
	w := newWorld(t)
	d := w.replica()
	ends := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	labelled := w.token("t", ends)
	w.patch(labelled, `{"spec":{"revoked":true}}`)
	w.eventually("the record is revoked", func() bool { r, _ := d.Record("some-uid", "id-of-t"); return r.Revoked })
	own := labelled.DeepCopy()
	own.ObjectMeta = metav1.ObjectMeta{Namespace: w.ns, Name: "its-own"}
	w.create(own)
	w.delete(labelled)
	next := labelled.DeepCopy()
	next.ObjectMeta = metav1.ObjectMeta{Namespace: w.ns, Name: "t"}
	next.Spec.TokenID, next.Spec.Revoked = "id-of-next", false
	w.create(next)
	w.eventually("the next token is on record", func() bool { _, ok := d.Record("some-uid", "id-of-next"); return ok })
	if r, ok := d.Record("some-uid", "id-of-t"); !ok || !r.Revoked {
		t.Errorf("the revoked token's record is %+v, want it revoked", r)
	}
	w.delete(own)
	w.eventually("the old record is gone", func() bool { _, ok := d.Record("some-uid", "id-of-t"); return !ok })
	if _, ok := d.Record("some-uid", "id-of-next"); !ok {
		t.Error("the next token's record went with it")
	}
}

func TestATokenThatHasEndedIsRemoved(t *testing.T) {
	w := newWorld(t)
	ended := w.token("ended", time.Now().Add(-removalDelay-time.Second))
	fresh := w.token("fresh", time.Now().Add(-removalDelay/2))
	d := w.replica()
	w.eventually("the ended token is removed", func() bool {
		err := w.Get(t.Context(), client.ObjectKeyFromObject(ended), &authv1alpha1.Token{})
		_, known := d.Record("some-uid", "id-of-ended")
		return apierrors.IsNotFound(err) && !known
	})
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(fresh), &authv1alpha1.Token{}); err != nil {
		t.Errorf("a token that has just ended: %v", err)
	}
}

func TestARecordMadeByHandForAnotherUserDoesNotReviveARevokedToken(t *testing.T) {
	w := newWorld(t)
	d := w.replica()
	token := w.token("t", time.Now().Add(time.Hour).Truncate(time.Millisecond))
	w.patch(token, `{"spec":{"revoked":true}}`)
	w.eventually("the record is revoked", func() bool { r, _ := d.Record("some-uid", "id-of-t"); return r.Revoked })
	forged := token.DeepCopy()
	forged.ObjectMeta = metav1.ObjectMeta{Namespace: w.ns, Name: "forged"}
	forged.Spec.UserRef.UID, forged.Spec.Revoked = "another-uid", false
	w.create(forged)
	w.eventually("the other record is there", func() bool { _, ok := d.Record("another-uid", "id-of-t"); return ok })
	if r, ok := d.Record("some-uid", "id-of-t"); !ok || !r.Revoked {
		t.Errorf("the revoked token's record is %+v", r)
	}
	w.delete(forged)
	w.eventually("the other record is gone", func() bool { _, ok := d.Record("another-uid", "id-of-t"); return !ok })
	if r, ok := d.Record("some-uid", "id-of-t"); !ok || !r.Revoked {
		t.Errorf("then the revoked token's record is %+v", r)
	}
}
