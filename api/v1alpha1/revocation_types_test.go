package v1alpha1_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/schemacases"
)

func TestRevocationSchema(t *testing.T) {
	t.Parallel()
	newServer(t).decides(t, "Revocation", schemacases.Revocations(), func() client.Object { return &authv1alpha1.Revocation{} })
}

func TestRevocationIsImmutable(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "Revocation", `{userRef: {name: jean}, reason: left}`)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{`{"userRef":{"name":"rosa"}}`, `{"reason":"found"}`, `{"expiresAt":"2020-01-01T00:00:00Z"}`} {
		mustRefuse(t, s.patch(t, o.DeepCopy(), change), "spec is immutable")
	}
}
