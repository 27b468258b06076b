package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// serviceUser is the user that the measured process is for the API server. It tells the requests of
// the process from those of this command.
const serviceUser = "gatehouse"

// cluster is an etcd and a kube-apiserver of the measurement's own.
type cluster struct {
	client.Client
	env        *envtest.Environment
	kubeconfig string // path, for the measured process
	audit      string // path of the log of its requests
}

// startCluster starts both on the folder data of etcd, and keeps its other files in scratch.
func startCluster(s *settings, data, scratch string, definitions []*apiextensionsv1.CustomResourceDefinition) (*cluster, error) {
	c := &cluster{kubeconfig: filepath.Join(scratch, "kubeconfig"), audit: filepath.Join(scratch, "audit.log")}
	policy := filepath.Join(scratch, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	c.env = &envtest.Environment{
		BinaryAssetsDirectory:    s.assets,
		CRDInstallOptions:        envtest.CRDInstallOptions{CRDs: definitions, MaxTime: time.Minute},
		ControlPlaneStartTimeout: 3 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	c.env.ControlPlane.Etcd = &envtest.Etcd{DataDir: data}
	c.env.ControlPlane.Etcd.Configure().Set("quota-backend-bytes", "8000000000")
	c.env.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", policy).Set("audit-log-path", c.audit)
	if _, err := c.env.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the API server: %w", err), c.stop())
	}
	if err := c.connect(); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// stop ends both processes.
func (c *cluster) stop() error { return c.env.Stop() }

// connect makes a client for this command and a kubeconfig for the measured process.
func (c *cluster) connect() error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), authv1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	c.env.Config.QPS = -1
	var err error
	if c.Client, err = client.New(c.env.Config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	user, err := c.env.AddUser(envtest.User{Name: serviceUser, Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	raw, err := user.KubeConfig()
	if err != nil {
		return err
	}
	return os.WriteFile(c.kubeconfig, raw, 0o600)
}

// warm waits until the API server answers for Users and Secrets from its own cache, as an API
// server does that has run for a while.
func (c *cluster) warm(ctx context.Context, d dataset) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cached := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}
	for {
		users, secrets := &metav1.PartialObjectMetadataList{}, &metav1.PartialObjectMetadataList{}
		users.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind("UserList"))
		secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
		err := errors.Join(c.List(ctx, users, cached), c.List(ctx, secrets, cached))
		if err == nil && len(users.Items) == d.users && len(secrets.Items) >= d.secrets() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server still caches %d of %d users and %d of %d secrets: %w",
				len(users.Items), d.users, len(secrets.Items), d.secrets(), errors.Join(ctx.Err(), err))
		case <-time.After(time.Second):
		}
	}
}

// definitions returns the custom resource definitions of Gatehouse. Unless statusApart, status is
// not a subresource, so that one request creates a User with its status.
func definitions(statusApart bool) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	crds, err := apitest.Definitions()
	if err != nil || statusApart {
		return crds, err
	}
	for _, crd := range crds {
		for i := range crd.Spec.Versions {
			crd.Spec.Versions[i].Subresources = nil
		}
	}
	return crds, nil
}
