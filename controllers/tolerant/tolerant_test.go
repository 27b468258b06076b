package tolerant

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Main(m)) }

// An object that fits the schema is that of any other client, with its kind and without managed fields.
func TestIntactObjectsAreThoseOfTheInnerClient(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{groups: [a], passwords: [{hashFrom: {secretKeyRef: {name: s, key: k}}}]}`)
	w.NewUser("maria", `{}`)
	c := NewClient(w.Client)
	want, got := &authv1alpha1.User{}, &authv1alpha1.User{}
	for _, read := range []struct {
		from client.Reader
		into *authv1alpha1.User
	}{{w.Client, want}, {c, got}} {
		if err := read.from.Get(t.Context(), client.ObjectKeyFromObject(jean), read.into); err != nil {
			t.Fatal(err)
		}
	}
	want.APIVersion, want.Kind, want.ManagedFields = authv1alpha1.GroupVersion.String(), "User", nil
	if !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var page authv1alpha1.UserList
	if err := c.List(t.Context(), &page, client.InNamespace(w.NS), client.Limit(1)); err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 1 || page.Continue == "" || page.ResourceVersion == "" || page.RemainingItemCount == nil || *page.RemainingItemCount != 1 {
		t.Errorf("the first page is %+v", page)
	}
	if !equality.Semantic.DeepEqual(&page.Items[0], want) {
		t.Errorf("the first User is %+v, want %+v", page.Items[0], want)
	}
}

func TestPatchReturnsTheNewObject(t *testing.T) {
	w := apitest.NewWorld(t)
	u, c := w.NewUser("jean", `{groups: [a]}`), NewClient(w.Client)
	before := u.DeepCopy()
	u.Spec.Groups = []string{"b"}
	if err := c.Patch(t.Context(), u, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		t.Fatal(err)
	}
	if u.ResourceVersion == before.ResourceVersion || u.Spec.Groups[0] != "b" {
		t.Errorf("after the patch it is %+v", u)
	}
	patched := u.ResourceVersion
	stale := before.DeepCopy()
	stale.Status.FailedLogins = 1
	err := c.Status().Patch(t.Context(), stale, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if !apierrors.IsConflict(err) {
		t.Errorf("a patch of a stale status: %v, want a conflict", err)
	}
	before = u.DeepCopy()
	u.Status.FailedLogins = 1
	if err := c.Status().Patch(t.Context(), u, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if u.ResourceVersion == patched || u.Status.FailedLogins != 1 {
		t.Errorf("after the patch of its status it is %+v", u)
	}
	w.MustDelete(u)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(u), u); !apierrors.IsNotFound(err) {
		t.Errorf("reading a User that does not exist: %v", err)
	}
}
