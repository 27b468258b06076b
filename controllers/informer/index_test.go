package informer

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// naming is a User whose passwords are in these Secrets.
func naming(name, login string, secrets ...string) *authv1alpha1.User {
	u := &authv1alpha1.User{}
	u.Namespace, u.Name, u.Spec.Login = "ns", name, login
	for _, s := range secrets {
		ref := authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: s, Key: "k"}}
		u.Spec.Passwords = append(u.Spec.Passwords, authv1alpha1.Password{HashFrom: &ref})
	}
	return u
}

func TestUsersAreFoundByTheSecretsThatTheyNameNow(t *testing.T) {
	x := NewSecretIndex()
	found := func(secret string) (out []string) {
		for _, key := range x.Lookup(types.NamespacedName{Namespace: "ns", Name: secret}) {
			out = append(out, key.Name)
		}
		slices.Sort(out)
		return out
	}
	steps := []struct {
		name         string
		before, next client.Object
		a, b         []string
	}{
		{"one user, twice in one Secret", nil, naming("one", "", "a", "a"), []string{"one"}, nil},
		{"the same event again", nil, naming("one", "", "a", "a"), []string{"one"}, nil},
		{"another user of it", nil, naming("two", "", "a", "b"), []string{"one", "two"}, []string{"two"}},
		{"a user goes over to another Secret", naming("one", "", "a", "a"), naming("one", "", "b"), []string{"two"}, []string{"one", "two"}},
		{"a user keeps one and drops one", naming("two", "", "a", "b"), naming("two", "", "b"), nil, []string{"one", "two"}},
		{"a user is deleted", naming("two", "", "b"), nil, nil, []string{"one"}},
		{"the last user is deleted", naming("one", "", "b"), nil, nil, nil},
	}
	for _, s := range steps {
		x.replace(s.before, s.next)
		if a, b := found("a"), found("b"); !slices.Equal(a, s.a) || !slices.Equal(b, s.b) {
			t.Errorf("%s: a is named by %v, b by %v, want %v and %v", s.name, a, b, s.a, s.b)
		}
	}
	if len(x.users) != 0 {
		t.Errorf("the index still holds %v", x.users)
	}
}

func TestUsersAreFoundByTheLoginThatTheyClaimNow(t *testing.T) {
	x := NewLoginIndex()
	x.replace(nil, naming("jean", ""))
	x.replace(nil, naming("other", "jean"))
	if got := x.Lookup("jean"); len(got) != 2 {
		t.Errorf("a name and a login claim the same, and %v are found", got)
	}
	x.replace(naming("other", "jean"), naming("other", "elsewhere"))
	if got := x.Lookup("jean"); len(got) != 1 || got[0].Name != "jean" {
		t.Errorf("after one went, %v are found", got)
	}
}
