package projection

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

const identitiesSpec = `{identities: [{serviceAccount: {name: billing, namespace: shop}},
	{federated: {issuer: "https://ci.test", subject: "repo:acme/shop", claims: {environment: production}}}]}`

func TestIdentitiesOfAUser(t *testing.T) {
	t.Parallel()
	want := []directory.Identity{
		{Issuer: directory.ClusterIssuer, Subject: "system:serviceaccount:shop:billing"},
		{Issuer: "https://ci.test", Subject: "repo:acme/shop", Claims: map[string]string{"environment": "production"}},
	}
	if got := Identities(userFromSpec(t, identitiesSpec)); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestUserWithIdentitiesAndNoPasswordIsReady(t *testing.T) {
	t.Parallel()
	s := statusAt(t, userFromSpec(t, identitiesSpec), time.Now())
	next := s.Next()
	if ready := meta.FindStatusCondition(next.Conditions, authv1alpha1.ConditionReady); next.State != "Active" || ready == nil || ready.Status != metav1.ConditionTrue {
		t.Errorf("state %s, Ready %+v", next.State, ready)
	}
	s.Trusts = func(issuer string) bool { return issuer == "https://ci.test" }
	untrusted := meta.FindStatusCondition(s.Next().Conditions, authv1alpha1.ConditionIdentityUntrusted)
	if untrusted == nil || !strings.Contains(untrusted.Message, "identities[0]") || strings.Contains(untrusted.Message, "identities[1]") {
		t.Errorf("without a cluster: %+v", untrusted)
	}
	s.Trusts = func(string) bool { return true }
	if c := meta.FindStatusCondition(s.Next().Conditions, authv1alpha1.ConditionIdentityUntrusted); c != nil {
		t.Errorf("although all issuers are trusted: %+v", c)
	}
}
