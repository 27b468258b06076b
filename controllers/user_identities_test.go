package controllers

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

func TestIdentityConflict(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	const spec = `{identities: [{serviceAccount: {name: billing, namespace: shop}}]}`
	older := w.NewUser("older", spec)
	w.AwaitStatus("older", "Active", "Active")
	// creationTimestamp has whole seconds, and within one second the UID decides.
	w.Eventually("the next second has begun", func() bool { return time.Now().Unix() > older.CreationTimestamp.Unix() })
	w.NewUser("younger", spec)
	conflict := func() metav1.Condition {
		return apitest.Condition(w.ReadUser("younger"), authv1alpha1.ConditionIdentityConflict)
	}
	w.Eventually("the younger has a conflict", func() bool { return conflict().Status == metav1.ConditionTrue })
	for _, words := range []string{"identities[0]", "serviceaccount:shop:billing", w.NS + "/older"} {
		if message := conflict().Message; !strings.Contains(message, words) {
			t.Errorf("the message does not contain %q: %s", words, message)
		}
	}
	holder := func() string {
		u, ok := d.ByIdentity("cluster", "system:serviceaccount:shop:billing", func(string) (string, bool) { return "", false })
		if !ok {
			return ""
		}
		return u.Login
	}
	if got := holder(); got != "older" {
		t.Errorf("%q holds the identity", got)
	}
	w.MustDelete(older)
	w.Eventually("the younger holds the identity", func() bool { return holder() == "younger" })
	w.Eventually("the younger has no conflict", func() bool { return conflict().Status == "" })
	w.AwaitStatus("younger", "Active", "Active")
}
