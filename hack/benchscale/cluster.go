package main

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

// serviceUser is the API server's name for the measured process, by which its requests are told from ours.
const serviceUser = "gatehouse"

// cluster is an etcd and a kube-apiserver of our own.
type cluster struct {
	client.Client
	env        *envtest.Environment
	kubeconfig string // of the measured process
	audit      string // log of what it asked for
}

// startCluster starts both on the data in a folder, and keeps what else it needs in scratch.
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

func (c *cluster) stop() error { return c.env.Stop() }

// connect makes a client for ourselves and a kubeconfig for the measured process.
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

// warm waits until the API server answers for both kinds from its own cache, as one does that has run for a while.
func (c *cluster) warm(ctx context.Context, w world) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cached := &client.ListOptions{Namespace: usersNamespace, Raw: &metav1.ListOptions{ResourceVersion: "0"}}
	for {
		users, secrets := &metav1.PartialObjectMetadataList{}, &metav1.PartialObjectMetadataList{}
		users.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind("UserList"))
		secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
		err := errors.Join(c.List(ctx, users, cached), c.List(ctx, secrets, cached))
		if err == nil && len(users.Items) == w.users && len(secrets.Items) >= w.secrets() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server has %d of %d users and %d of %d secrets: %w",
				len(users.Items), w.users, len(secrets.Items), w.secrets(), errors.Join(ctx.Err(), err))
		case <-time.After(time.Second):
		}
	}
}

// definitions are those of Gatehouse. With status as part of the object a User can be made with its status at once.
func definitions(statusApart bool) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	out, err := apitest.Definitions()
	if err != nil || statusApart {
		return out, err
	}
	for _, d := range out {
		for i := range d.Spec.Versions {
			d.Spec.Versions[i].Subresources = nil
		}
	}
	return out, nil
}
