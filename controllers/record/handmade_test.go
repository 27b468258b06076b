package record

import (
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// revokedUntil returns how long the stored Tokens keep a token revoked.
func (b fixture) revokedUntil(t *testing.T, r directory.Record) (until time.Time) {
	t.Helper()
	for _, o := range b.tokens(t) {
		if o.Spec.TokenID == r.ID && o.Spec.UserRef.UID == r.UserUID && o.Spec.Revoked && o.Spec.ExpiresAt.After(until) {
			until = o.Spec.ExpiresAt.Time
		}
	}
	return until
}

// TestHandMadeTokenSwallowsNoRevocation makes a Token by hand under a name that the service uses.
func TestHandMadeTokenSwallowsNoRevocation(t *testing.T) {
	for name, change := range map[string]func(*directory.Record){
		"of another user":            func(r *directory.Record) { r.UserUID = "another" },
		"of another token":           func(r *directory.Record) { r.ID = token.NewID() },
		"that ends before its token": func(r *directory.Record) { r.ExpiresAt = r.IssuedAt.Add(time.Minute) },
		"that is revoked and ends early": func(r *directory.Record) {
			r.ExpiresAt, r.Revoked = r.IssuedAt.Add(time.Minute), true
		},
		"of another user, revoked": func(r *directory.Record) { r.UserUID, r.Revoked = "another", true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFixture(t)
			u := b.AddUser(t)
			for _, label := range []string{"", "ci"} {
				r := newRecord(u, label)
				for _, object := range []string{idName(r.ID), labelName(u.UID, "ci")} {
					forged := r
					change(&forged)
					o := newToken(types.NamespacedName{Namespace: b.Namespace, Name: object}, forged)
					if err := b.Create(t.Context(), o); err != nil {
						t.Fatal(err)
					}
					defer func() { _ = b.Delete(t.Context(), o) }()
				}
				mustRevoke(t, b.replica(t, u), r)
				if until := b.revokedUntil(t, r); until.Before(r.ExpiresAt) {
					t.Errorf("label %q: revoked until %v, the token ends at %v", label, until, r.ExpiresAt)
				}
				for _, o := range b.tokens(t) {
					if err := errors.Join(b.Delete(t.Context(), &o), Release(t.Context(), b, &o)); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

func TestRevocationOfUnknownUserHasNoOwner(t *testing.T) {
	b := newFixture(t)
	r := newRecord(&directory.User{UID: "00000000-0000-4000-8000-000000000000"}, "")
	mustRevoke(t, b.replica(t), r)
	if o := b.tokenNamed(t, "token-"); len(o.OwnerReferences) != 0 || o.Labels[authv1alpha1.UserUIDLabel] != r.UserUID {
		t.Errorf("got owner %v and labels %v", o.OwnerReferences, o.Labels)
	}
}

// TestRevocationDespiteQuota uses up the ResourceQuota of a namespace. The API server of the tests
// has no controller that counts objects, so the test sets the status of the quota.
func TestRevocationDespiteQuota(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	labelled := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))
	one := corev1.ResourceList{"count/tokens.auth.gatehouse.dev": resource.MustParse("1")}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: "gatehouse"},
		Spec:       corev1.ResourceQuotaSpec{Hard: one},
	}
	if err := b.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	quota.Status = corev1.ResourceQuotaStatus{Hard: one, Used: one}
	if err := b.Status().Update(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	records := b.replica(t, u)
	refused := func() bool {
		_, err := records.Create(t.Context(), newRecord(u, ""), isLive)
		return err != nil
	}
	deadline := time.Now().Add(30 * time.Second)
	for !refused() && time.Now().Before(deadline) { // until the API server has read the quota
	}
	if got := mustCreate(t, records, newRecord(u, "ci")); got != labelled {
		t.Errorf("a live label gives %+v", got)
	}
	r := newRecord(u, "")
	if err := records.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if known, _ := records.Directory.ByUID(u.UID); known.CheckToken(r.IssuedAt) == nil {
		t.Error("a revoked token for which there is no room is good")
	}
	mustRevoke(t, records, labelled)
	if !slices.ContainsFunc(b.tokens(t), func(o authv1alpha1.Token) bool { return o.Spec.TokenID == labelled.ID && o.Spec.Revoked }) {
		t.Error("the labelled token is not revoked")
	}
}
