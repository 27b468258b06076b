// Package apitest provides tests with a real API server that has the resources of Gatehouse. A test
// binary starts at most one, when the first test asks for it.
//
//	func TestMain(m *testing.M) { os.Exit(apitest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		c := apitest.Config(t)
//		...
//	}
package apitest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/config/crd"
)

// errNotBuilt means that there are no binaries of an API server and that KUBEBUILDER_ASSETS is not
// set.
var errNotBuilt = errors.New("no API server to test against: run hack/envtest/build.sh once, or name a folder with " +
	"kube-apiserver and etcd in KUBEBUILDER_ASSETS")

// running is the API server of the test binary. It lives as long as the binary, because starting
// one takes seconds.
var running struct {
	once  sync.Once
	users sync.Mutex // held while a user is added
	env   *envtest.Environment
	err   error
}

// Main runs the tests of a package and stops the API server if one of them started it. It returns
// the exit code.
func Main(m *testing.M) int {
	log.SetLogger(logr.Discard()) // without a logger, controller-runtime prints a warning in the middle of a test
	code := m.Run()
	if running.env == nil {
		return code
	}
	if err := running.env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the API server:", err)
	}
	return code
}

// Config returns the connection of a cluster administrator to the API server, which it starts if
// necessary. If there are no binaries of an API server, it skips the test or, if KUBEBUILDER_ASSETS
// is set, fails it.
func Config(t testing.TB) *rest.Config {
	t.Helper()
	return rest.CopyConfig(start(t).Config)
}

// User adds a user without any rights and returns its connection. The name must not have been used
// before.
func User(t testing.TB, name string) *rest.Config {
	t.Helper()
	env := start(t)
	running.users.Lock() // envtest numbers its certificates without a lock
	user, err := env.AddUser(envtest.User{Name: name}, nil)
	running.users.Unlock()
	if err != nil {
		t.Fatalf("add user %s: %v", name, err)
	}
	return user.Config()
}

// Kubeconfig writes a kubeconfig of the administrator to a temporary file and returns its path.
func Kubeconfig(t testing.TB) string {
	t.Helper()
	config := start(t).Config
	api := clientcmdapi.NewConfig()
	api.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	api.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	api.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	api.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*api, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Assets returns the folder with kube-apiserver and etcd, for tests that start their own API
// server. If there is none, it skips or fails the test like Config.
func Assets(t testing.TB) string {
	t.Helper()
	assets, err := binaries()
	if errors.Is(err, errNotBuilt) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return assets
}

// MinorVersion returns the minor version of Kubernetes of the kube-apiserver in Assets: 36 for v1.36.3. If
// there is none, it skips or fails the test like Config.
func MinorVersion(t testing.TB) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(Assets(t), "kube-apiserver"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var minor int
	if _, err := fmt.Sscanf(string(out), "Kubernetes v1.%d.", &minor); err != nil {
		t.Fatalf("kube-apiserver --version prints %q: %v", out, err)
	}
	return minor
}

func start(t testing.TB) *envtest.Environment {
	t.Helper()
	running.once.Do(func() { running.env, running.err = launch() })
	if errors.Is(running.err, errNotBuilt) {
		t.Skip(running.err)
	}
	if running.err != nil {
		t.Fatal(running.err)
	}
	return running.env
}

func launch() (*envtest.Environment, error) {
	assets, err := binaries()
	if err != nil {
		return nil, err
	}
	definitions, err := Definitions()
	if err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDInstallOptions:     envtest.CRDInstallOptions{CRDs: definitions},
	}
	if _, err := env.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the API server in %s: %w", assets, err), env.Stop())
	}
	return env, nil
}

// Definitions returns the custom resource definitions of Gatehouse as they are installed.
func Definitions() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	var out []*apiextensionsv1.CustomResourceDefinition
	files, err := fs.Glob(crd.Bases, "bases/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		raw, err := fs.ReadFile(crd.Bases, file)
		if err != nil {
			return nil, err
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(raw, definition); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		out = append(out, definition)
	}
	return out, nil
}

// binaries returns the folder with kube-apiserver and etcd. Only hack/envtest/build.sh knows where
// that folder is.
func binaries() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	script := filepath.Join(root, "hack", "envtest", "build.sh")
	out, err := exec.CommandContext(context.Background(), script, "--folder").Output()
	if err != nil {
		return "", fmt.Errorf("ask hack/envtest/build.sh for its folder: %w", err)
	}
	folder := strings.TrimSpace(string(out))
	for _, name := range []string{"kube-apiserver", "etcd"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			continue
		}
		if os.Getenv("KUBEBUILDER_ASSETS") != "" {
			return "", fmt.Errorf("no %s in %s, which KUBEBUILDER_ASSETS names", name, folder)
		}
		return "", errNotBuilt
	}
	return folder, nil
}

// moduleRoot returns the root folder of the module, at or above the folder of the tested package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "envtest", "build.sh")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no folder above the tested package has hack/envtest/build.sh; run the test within the module")
		}
		dir = parent
	}
}
