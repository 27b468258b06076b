package v1alpha1_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
	"github.com/gatehouse-auth/gatehouse/test/schemacases"
)

func TestMain(m *testing.M) { os.Exit(apitest.Main(m)) }

// server is an API server with a namespace that belongs to the test.
type server struct {
	client.Client
	namespace string
}

func newServer(t *testing.T) server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := authv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(apitest.Config(t), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "schema-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return server{Client: client.WithFieldValidation(c, metav1.FieldValidationStrict), namespace: ns.Name}
}

// object makes an object from a kind and its spec in YAML, as kubectl would send it.
func (s server) object(t *testing.T, kind, spec string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetAPIVersion(authv1alpha1.GroupVersion.String())
	o.SetKind(kind)
	o.SetNamespace(s.namespace)
	o.SetGenerateName("case-")
	var fields any
	raw, err := yaml.YAMLToJSON([]byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	o.Object["spec"] = fields
	return o
}

// status sets the status of an object, as kubectl patch --subresource=status would.
func (s server) status(t *testing.T, o client.Object, status string) error {
	t.Helper()
	return s.Status().Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"status":`+status+`}`)))
}

func (s server) patch(t *testing.T, o client.Object, spec string) error {
	t.Helper()
	return s.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`)))
}

// mustRefuse checks that the API server rejected the object as invalid and that the error contains
// words, the field or the rule.
func mustRefuse(t *testing.T, err error, words string) {
	t.Helper()
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Fatalf("got error %v, want the object rejected", err)
	}
	if !strings.Contains(err.Error(), words) {
		t.Errorf("the error does not contain %q: %v", words, err)
	}
}

// decides checks that the API server accepts and refuses the objects of a kind as the table says. Go
// must be able to read each that it accepts, because a single object that cannot be decoded would fail
// the list of all objects.
func (s server) decides(t *testing.T, kind string, cases map[string]schemacases.Case, newTyped func() client.Object) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := s.object(t, kind, c.Spec)
			err := s.Create(t.Context(), o)
			if c.Words != "" {
				mustRefuse(t, err, c.Words)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), newTyped()); err != nil {
				t.Errorf("accepted by the schema, but Go cannot read it: %v", err)
			}
		})
	}
}
