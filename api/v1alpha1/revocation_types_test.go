package v1alpha1_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

func TestRevocationSchema(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	accepted := map[string]string{
		"no end": `{userRef: {name: jean}, reason: "laptop stolen, ticket 4711"}`,
		"an end": `{userRef: {name: jean.jackson}, reason: left, expiresAt: "2028-01-01T00:00:00+01:00"}`,
	}
	for name, spec := range accepted {
		o := s.object(t, "Revocation", spec)
		if err := s.Create(t.Context(), o); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), &authv1alpha1.Revocation{}); err != nil {
			t.Errorf("%s is accepted by the schema, but Go cannot read it: %v", name, err)
		}
	}
	refused := map[string]struct{ spec, words string }{
		"no user":             {`{reason: left}`, "spec.userRef"},
		"no reason":           {`{userRef: {name: jean}}`, "spec.reason"},
		"an empty reason":     {`{userRef: {name: jean}, reason: ""}`, "spec.reason"},
		"a reason in lines":   {`{userRef: {name: jean}, reason: "a\nb"}`, "spec.reason"},
		"a very long reason":  {`{userRef: {name: jean}, reason: ` + strings.Repeat("x", 1025) + `}`, "spec.reason"},
		"a name of no object": {`{userRef: {name: Jean}, reason: left}`, "spec.userRef.name"},
		"a date":              {`{userRef: {name: jean}, reason: left, expiresAt: "2028-01-01"}`, "spec.expiresAt"},
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, s.Create(t.Context(), s.object(t, "Revocation", c.spec)), c.words)
		})
	}
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
