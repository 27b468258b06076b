package gitops

import (
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
	"github.com/gatehouse-auth/gatehouse/test/apitest/tooltest"
)

const (
	systemNamespace = tooltest.SystemNamespace
	usersNamespace  = tooltest.UsersNamespace
)

func TestMain(m *testing.M) {
	if os.Getenv(asKubectl) != "" {
		beKubectl()
		return
	}
	os.Exit(apitest.Main(m))
}

// cluster adds to a cluster what only the tests of this package do with it.
type cluster struct{ *tooltest.Cluster }

// in returns the same cluster for a subtest.
func (c *cluster) in(t *testing.T) *cluster { return &cluster{c.In(t)} }

// newCluster starts an API server with the CRDs of Gatehouse and those in files.
func newCluster(t *testing.T, crds ...string) *cluster {
	t.Helper()
	return &cluster{tooltest.NewCluster(t, crds...)}
}

func decode(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	return tooltest.Decode(t, text)
}
