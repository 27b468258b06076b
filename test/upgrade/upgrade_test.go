package upgrade

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/config/crd"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Main(m)) }

// definitions returns the CRDs in a folder by file name.
func definitions(t *testing.T, files fs.FS, dir string) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	paths, err := fs.Glob(files, dir+"/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		raw, err := fs.ReadFile(files, p)
		if err != nil {
			t.Fatal(err)
		}
		var definition map[string]any
		if err := yaml.Unmarshal(raw, &definition); err != nil {
			t.Fatal(err)
		}
		out[path.Base(p)] = definition
	}
	if len(out) == 0 {
		t.Fatalf("no CRD in %s", dir)
	}
	return out
}

func released(t *testing.T) map[string]map[string]any {
	return definitions(t, os.DirFS("testdata"), "crds")
}

func current(t *testing.T) map[string]map[string]any { return definitions(t, crd.Bases, "bases") }

func TestTodaysSchemasAcceptWhatTheReleasedOnesDo(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/exceptions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	exceptions := map[string]string{}
	if err := yaml.UnmarshalStrict(raw, &exceptions); err != nil {
		t.Fatal(err)
	}
	today := current(t)
	for file, before := range released(t) {
		for _, difference := range tightened(before, today[file]) {
			if _, ok := exceptions[difference]; !ok {
				t.Errorf("%s: %s", file, difference)
			}
			delete(exceptions, difference)
		}
	}
	for difference := range exceptions {
		t.Errorf("exceptions.yaml has what does not differ: %s", difference)
	}
}

// users is the file whose schema the next tests change.
const users = "auth.gatehouse.dev_users.yaml"

func TestTighteningIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, definition map[string]any)
		want   string
	}{
		"a field that is gone": {func(t *testing.T, d map[string]any) { delete(asMap(place(t, d, "spec")["properties"]), "email") },
			"v1alpha1.spec.email: the field is gone"},
		"a field that is gone from the status": {func(t *testing.T, d map[string]any) {
			delete(asMap(place(t, d, "status")["properties"]), "tokensRevokedAt")
		},
			"v1alpha1.status.tokensRevokedAt: the field is gone"},
		"a field of another type": {func(t *testing.T, d map[string]any) { place(t, d, "spec.revoked")["type"] = "string" },
			"v1alpha1.spec.revoked type: was boolean and is string"},
		"a field that becomes required": {func(t *testing.T, d map[string]any) { place(t, d, "spec")["required"] = []any{"login"} },
			"v1alpha1.spec: the field login is required now"},
		"a shorter limit": {func(t *testing.T, d map[string]any) { place(t, d, "spec.login")["maxLength"] = float64(100) },
			"v1alpha1.spec.login: maxLength was 255 and is 100"},
		"a limit where there was none": {func(t *testing.T, d map[string]any) { place(t, d, "spec.tokenPolicy")["maxProperties"] = float64(1) },
			"v1alpha1.spec.tokenPolicy: maxProperties was <nil> and is 1"},
		"a larger minimum": {func(t *testing.T, d map[string]any) { place(t, d, "spec.login")["minLength"] = float64(3) },
			"v1alpha1.spec.login: minLength was 1 and is 3"},
		"fewer elements": {func(t *testing.T, d map[string]any) { place(t, d, "spec.passwords")["maxItems"] = float64(1) },
			"v1alpha1.spec.passwords: maxItems was 4 and is 1"},
		"another pattern": {func(t *testing.T, d map[string]any) { place(t, d, "spec.login")["pattern"] = "^[a-z]+$" },
			"v1alpha1.spec.login pattern: was"},
		"a new rule": {func(t *testing.T, d map[string]any) {
			place(t, d, "spec")["x-kubernetes-validations"] = []any{map[string]any{"rule": "has(self.login)"}}
		}, "v1alpha1.spec: the rule has(self.login) is new"},
		"a value that is gone": {func(t *testing.T, d map[string]any) {
			state := place(t, d, "status.state")
			state["enum"] = asList(state["enum"])[1:]
		}, "is not accepted any more"},
		"values where any was accepted": {func(t *testing.T, d map[string]any) { place(t, d, "spec.displayName")["enum"] = []any{"Jean"} },
			"v1alpha1.spec.displayName enum: was <nil> and is [Jean]"},
		"another default": {func(t *testing.T, d map[string]any) { place(t, d, "spec.displayName")["default"] = "Jean" },
			"v1alpha1.spec.displayName default: was <nil> and is Jean"},
		"a stricter element": {func(t *testing.T, d map[string]any) { place(t, d, "spec.groups.[]")["maxLength"] = float64(1) },
			"v1alpha1.spec.groups[items]: maxLength was 255 and is 1"},
		"another scope": {func(_ *testing.T, d map[string]any) { asMap(d["spec"])["scope"] = "Cluster" },
			"spec.scope: was Namespaced and is Cluster"},
		"a version that is not served": {func(_ *testing.T, d map[string]any) { versions(d)["v1alpha1"]["served"] = false },
			"v1alpha1: is no longer served"},
		"a status that is not a subresource": {func(_ *testing.T, d map[string]any) { delete(versions(d)["v1alpha1"], "subresources") },
			"v1alpha1.subresources: was"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := released(t)[users]
			c.change(t, changed)
			found := tightened(released(t)[users], changed)
			if len(found) != 1 || !strings.Contains(found[0], c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

func TestLooseningIsNoDifference(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, map[string]any){
		"a new field": func(t *testing.T, d map[string]any) {
			asMap(place(t, d, "spec")["properties"])["x"] = map[string]any{"type": "string"}
		},
		"a longer limit": func(t *testing.T, d map[string]any) { place(t, d, "spec.login")["maxLength"] = float64(300) },
		"no limit":       func(t *testing.T, d map[string]any) { delete(place(t, d, "spec.login"), "maxLength") },
		"no pattern":     func(t *testing.T, d map[string]any) { delete(place(t, d, "spec.expiresAt"), "pattern") },
		"no rule":        func(t *testing.T, d map[string]any) { delete(place(t, d, "spec.login"), "x-kubernetes-validations") },
		"a new value": func(t *testing.T, d map[string]any) {
			s := place(t, d, "status.state")
			s["enum"] = append(asList(s["enum"]), "New")
		},
		"another description": func(t *testing.T, d map[string]any) { place(t, d, "spec.login")["description"] = "the login" },
		"a second version": func(_ *testing.T, d map[string]any) {
			spec := asMap(d["spec"])
			spec["versions"] = append(asList(spec["versions"]), map[string]any{"name": "v1beta1", "served": true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			changed := released(t)[users]
			change(t, changed)
			if reflect.DeepEqual(changed, released(t)[users]) {
				t.Fatal("the change changes nothing")
			}
			if found := tightened(released(t)[users], changed); len(found) > 0 {
				t.Errorf("found %q", found)
			}
		})
	}
}

// objects returns the objects that the released schemas accept, by what is particular about each.
func objects(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	raw, err := os.ReadFile("testdata/objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*unstructured.Unstructured{}
	for document := range strings.SplitSeq(strings.TrimPrefix(string(raw), "---\n"), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		about, _, _ := strings.Cut(strings.TrimPrefix(document, "# "), "\n")
		o.SetName(fmt.Sprintf("object-%d", len(out)))
		o.SetNamespace(metav1.NamespaceDefault)
		out[o.GetKind()+": "+about] = o
	}
	return out
}

// cluster is an API server whose CRDs a test replaces.
type cluster struct {
	client.Client
	tables *rest.RESTClient
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	config := apitest.Config(t)
	if err := apiextensionsv1.AddToScheme(scheme.Scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	raw := dynamic.ConfigFor(config)
	raw.GroupVersion, raw.APIPath = &authv1alpha1.GroupVersion, "/apis"
	tables, err := rest.RESTClientFor(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cluster{Client: client.WithFieldValidation(c, metav1.FieldValidationStrict), tables: tables}
}

// install replaces the CRDs, and waits until the API server uses them, which it shows by a column that each
// gets for that purpose.
func (c cluster) install(t *testing.T, definitions map[string]map[string]any, column string) {
	t.Helper()
	for _, file := range slices.Sorted(maps.Keys(definitions)) {
		next := &unstructured.Unstructured{Object: definitions[file]}
		for _, version := range versions(next.Object) {
			columns := asList(version["additionalPrinterColumns"])
			version["additionalPrinterColumns"] = append(columns, map[string]any{"name": column, "type": "string", "jsonPath": ".metadata.name"})
		}
		live := next.DeepCopy()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(next), live); err != nil {
			t.Fatal(err)
		}
		next.SetResourceVersion(live.GetResourceVersion())
		if err := c.Update(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		plural, _, _ := unstructured.NestedString(next.Object, "spec", "names", "plural")
		c.waitForColumn(t, plural, column)
	}
}

func (c cluster) waitForColumn(t *testing.T, plural, column string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		raw, err := c.tables.Get().Resource(plural).Namespace(metav1.NamespaceDefault).
			SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Raw()
		return strings.Contains(string(raw), `"name":"`+column+`"`), err
	})
	if err != nil {
		t.Fatalf("the API server does not use the CRD of %s: %v", plural, err)
	}
}

func TestObjectsOfTheReleaseApplyToday(t *testing.T) {
	c, all := newCluster(t), objects(t)
	c.install(t, released(t), "Released")
	for about, o := range all {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("%s: the released CRDs refuse it: %v", about, err)
		}
	}
	c.install(t, current(t), "Current")
	for about, o := range all {
		t.Run(about, func(t *testing.T) {
			stored := o.DeepCopy()
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), stored); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(stored.Object["spec"], o.Object["spec"]) {
				t.Errorf("the object is now %v, and was %v", stored.Object["spec"], o.Object["spec"])
			}
			stored.SetAnnotations(map[string]string{"changed": "yes"})
			if err := c.Update(t.Context(), stored); err != nil {
				t.Errorf("the stored object cannot be changed: %v", err)
			}
			again := &unstructured.Unstructured{Object: map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "spec": o.Object["spec"]}}
			again.SetName(o.GetName() + "-again")
			again.SetNamespace(o.GetNamespace())
			if err := c.Create(t.Context(), again, client.DryRunAll); err != nil {
				t.Errorf("the manifest cannot be applied: %v", err)
			}
		})
	}
}
