package v1alpha1_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/schemacases"
)

func TestTenantSchema(t *testing.T) {
	t.Parallel()
	newServer(t).decides(t, "Tenant", schemacases.Tenants(), func() client.Object { return &authv1alpha1.Tenant{} })
}
