package informer

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// userNaming returns a User with passwords in the given Secrets.
func userNaming(name, login string, secrets ...string) *authv1alpha1.User {
	u := &authv1alpha1.User{}
	u.Namespace, u.Name, u.Spec.Login = "ns", name, login
	for _, s := range secrets {
		ref := authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: s, Key: "k"}}
		u.Spec.Passwords = append(u.Spec.Passwords, authv1alpha1.Password{HashFrom: &ref})
	}
	return u
}

func TestSecretIndex(t *testing.T) {
	t.Parallel()
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
		{"one user, twice in one Secret", nil, userNaming("one", "", "a", "a"), []string{"one"}, nil},
		{"the same event again", nil, userNaming("one", "", "a", "a"), []string{"one"}, nil},
		{"another user of it", nil, userNaming("two", "", "a", "b"), []string{"one", "two"}, []string{"two"}},
		{"a user moves to another Secret", userNaming("one", "", "a", "a"), userNaming("one", "", "b"), []string{"two"}, []string{"one", "two"}},
		{"a user keeps one and drops one", userNaming("two", "", "a", "b"), userNaming("two", "", "b"), nil, []string{"one", "two"}},
		{"a user is deleted", userNaming("two", "", "b"), nil, nil, []string{"one"}},
		{"the last user is deleted", userNaming("one", "", "b"), nil, nil, nil},
	}
	for _, s := range steps {
		x.replace(s.before, s.next)
		if a, b := found("a"), found("b"); !slices.Equal(a, s.a) || !slices.Equal(b, s.b) {
			t.Errorf("%s: found %v by a and %v by b, want %v and %v", s.name, a, b, s.a, s.b)
		}
	}
	if len(x.users) != 0 {
		t.Errorf("the index still holds %v", x.users)
	}
}

func TestLoginIndex(t *testing.T) {
	t.Parallel()
	x := NewLoginIndex()
	x.replace(nil, userNaming("jean", ""))
	x.replace(nil, userNaming("other", "jean"))
	if got := x.Lookup("jean"); len(got) != 2 {
		t.Errorf("found %v by a login that is one name and one login, want both", got)
	}
	x.replace(userNaming("other", "jean"), userNaming("other", "elsewhere"))
	if got := x.Lookup("jean"); len(got) != 1 || got[0].Name != "jean" {
		t.Errorf("found %v after one user changed its login", got)
	}
}
