package controllers

import (
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// tokenIsVoid reports whether every replica refuses a token of a login by its time of issue.
func tokenIsVoid(login string, issuedAt time.Time, replicas ...*directory.Directory) bool {
	for _, d := range replicas {
		u, ok := d.ByLogin(login)
		if !ok || u.Check(time.Now()) == nil && u.CheckToken(issuedAt) == nil {
			return false
		}
	}
	return true
}

func allowed(login string, d *directory.Directory) func() bool {
	return func() bool { u, ok := d.ByLogin(login); return ok && u.Check(time.Now()) == nil }
}

func newRevocationOf(w *apitest.World, name, user string) *authv1alpha1.Revocation {
	w.T.Helper()
	r := &authv1alpha1.Revocation{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: name}}
	r.Spec.UserRef.Name, r.Spec.Reason = user, "laptop stolen"
	w.MustCreate(r)
	return r
}

func TestRevokedTokensStayVoid(t *testing.T) {
	w := apitest.NewWorld(t)
	one, two := newReplica(w), newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	byObject, bySpec := w.NewUser("object", fromSecret), w.NewUser("spec", fromSecret)
	for _, name := range []string{"object", "spec"} {
		w.AwaitStatus(name, "Active", "Active")
	}
	issued := time.Now()
	revocation := newRevocationOf(w, "stop", "object")
	w.MustPatch(bySpec, `{"spec":{"revoked":true}}`)
	for _, name := range []string{"object", "spec"} {
		u := w.AwaitStatus(name, "Revoked", "Revoked")
		if u.Status.TokensRevokedAt == nil || u.Status.TokensRevokedAt.Unix() < issued.Unix() {
			t.Errorf("%s: tokensRevokedAt = %v, want at least %v", name, u.Status.TokensRevokedAt, issued)
		}
		w.Eventually(name+" is refused by both replicas", func() bool { return tokenIsVoid(name, issued, one, two) && !allowed(name, one)() })
		staysUnchanged(w, name)
	}
	w.MustPatch(byObject, `{"spec":{"displayName":"as in Git"}}`) // what a GitOps tool does leaves the Revocation alone
	w.AwaitStatus("object", "Revoked", "Revoked")
	w.MustDelete(revocation)
	w.MustPatch(bySpec, `{"spec":{"revoked":false}}`)
	for _, name := range []string{"object", "spec"} {
		w.AwaitStatus(name, "Active", "Active")
		w.Eventually(name+" may log in again", allowed(name, two))
		staysUnchanged(w, name)
	}
	restarted := newReplica(w)
	for _, name := range []string{"object", "spec"} {
		if !tokenIsVoid(name, issued, one, two, restarted) {
			t.Errorf("a token of %s came back to life", name)
		}
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":null}`))
	if err := w.Status().Patch(t.Context(), byObject, patch); err == nil {
		t.Error("the status was removed together with tokensRevokedAt")
	}
	awaitEvents(w, "object UserRevoked", "object RevocationLifted", "spec UserRevoked", "spec RevocationLifted")
}

// awaitEvents waits until there is exactly one event for each of the given users and reasons.
func awaitEvents(w *apitest.World, want ...string) {
	w.T.Helper()
	w.Eventually("one event for each transition", func() bool {
		var list eventsv1.EventList
		if err := w.List(w.T.Context(), &list, client.InNamespace(w.NS)); err != nil {
			w.T.Fatal(err)
		}
		got := map[string]int{}
		for _, e := range list.Items {
			got[e.Regarding.Name+" "+e.Reason]++
		}
		for _, e := range want {
			if got[e] != 1 {
				return false
			}
		}
		return true
	})
}

func TestRevocationOfLaterUser(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	newRevocationOf(w, "stop", "late")
	w.NewUser("late", fromSecret)
	w.AwaitStatus("late", "Revoked", "Revoked")
	if allowed("late", d)() {
		t.Error("the user may log in")
	}
}

func TestRevocationEndsByItself(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	w.NewUser("jean", fromSecret)
	w.AwaitStatus("jean", "Active", "Active")
	end := metav1.NewTime(time.Now().Add(3 * time.Second))
	r := &authv1alpha1.Revocation{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: "stop"}}
	r.Spec.UserRef.Name, r.Spec.Reason, r.Spec.ExpiresAt = "jean", "holiday", &end
	w.MustCreate(r)
	w.AwaitStatus("jean", "Revoked", "Revoked")
	w.AwaitStatus("jean", "Active", "Active")
	if u, _ := d.ByLogin("jean"); u.CheckToken(end.Add(-time.Second)) == nil {
		t.Error("a token from the time of the revocation is good")
	}
}

func TestTokensRevokedInTheFuture(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	u := w.NewUser("jean", fromSecret)
	w.AwaitStatus("jean", "Active", "Active")
	w.MustPatchStatus(u, `{"status":{"tokensRevokedAt":"2099-01-01T00:00:00Z"}}`)
	w.Eventually("the controller pulls the time back", func() bool {
		at := w.ReadUser("jean").Status.TokensRevokedAt
		return at != nil && at.Before(&metav1.Time{Time: time.Now().Add(time.Minute)})
	})
	w.Eventually("a new token is good", func() bool {
		u, ok := d.ByLogin("jean")
		return ok && u.CheckToken(time.Now()) == nil
	})
	staysUnchanged(w, "jean")
}
