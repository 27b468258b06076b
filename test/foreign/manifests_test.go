package foreign_test

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// TestManifests holds the manifests for controllers that no test runs against their API types, which
// refuse a field that does not exist.
func TestManifests(t *testing.T) {
	for page, kinds := range map[string]map[string]any{
		"ingress.yaml": {"Ingress": &networkingv1.Ingress{}},
		"gateway.yaml": {
			"HTTPRoute": &gatewayv1.HTTPRoute{}, "ReferenceGrant": &gatewayv1.ReferenceGrant{}, "BackendTLSPolicy": &gatewayv1.BackendTLSPolicy{},
		},
	} {
		documents := strings.Split(docsBlock(t, "forward-auth.md", page), "\n---\n")
		if len(documents) != len(kinds) {
			t.Errorf("%s has %d documents, want %d", page, len(documents), len(kinds))
		}
		for _, document := range documents {
			var meta struct{ Kind string }
			if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
				t.Fatal(err)
			}
			t.Run(meta.Kind, func(t *testing.T) {
				object, ok := kinds[meta.Kind]
				if !ok {
					t.Fatalf("%s has another %s", page, meta.Kind)
				}
				if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
