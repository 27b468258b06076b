package openapi_test

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

const (
	file = "../../docs/openapi.yaml"
	base = "file:///openapi.json"
)

// document is docs/openapi.yaml. It compiles the schemas in it where they stand, so that references
// between them work.
type document struct {
	root     node
	compiler *jsonschema.Compiler
}

// node is a value of the document and where it stands, as a JSON pointer.
type node struct {
	document *document
	pointer  string
	value    any
}

func load(t testing.TB) *document {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	json, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(json)))
	if err != nil {
		t.Fatal(err)
	}
	d := &document{compiler: jsonschema.NewCompiler()}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(base, value); err != nil {
		t.Fatal(err)
	}
	d.root = node{document: d, value: value}
	return d
}

// get returns a member, which has no value if there is none. It follows a reference.
func (n node) get(keys ...string) node {
	for _, key := range keys {
		object, _ := n.value.(map[string]any)
		escaped := strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		n = node{n.document, n.pointer + "/" + escaped, object[key]}
		object, _ = n.value.(map[string]any)
		if to, ok := object["$ref"].(string); ok && len(object) == 1 {
			n = n.document.root.get(strings.Split(strings.TrimPrefix(to, "#/"), "/")...)
		}
	}
	return n
}

func (n node) exists() bool { return n.value != nil }

func (n node) keys() []string {
	object, _ := n.value.(map[string]any)
	return slices.Sorted(maps.Keys(object))
}

// validate returns what is wrong with a value by the schema that n is.
func (n node) validate(value any) error {
	schema, err := n.document.compiler.Compile(base + (&url.URL{Fragment: n.pointer}).String())
	if err != nil {
		return fmt.Errorf("%s: %w", n.pointer, err)
	}
	return schema.Validate(value)
}

// codes returns the values that a schema lists for the member that says what the error is, or only ""
// if it lists none.
func (n node) codes() []string {
	var out []string
	parts, _ := n.get("allOf").value.([]any)
	for _, part := range parts {
		for _, name := range codeMembers {
			member := node{n.document, "", part}.get("properties", name)
			if only, ok := member.get("const").value.(string); ok {
				out = append(out, only)
			}
			list, _ := member.get("enum").value.([]any)
			for _, value := range list {
				out = append(out, value.(string)) //nolint:errcheck // the panic would name the value
			}
		}
	}
	if out == nil {
		return []string{""}
	}
	return out
}

// codeMembers are the members that tell one error from another.
var codeMembers = []string{"kind", "error_code", "error"}

// operations calls do with each operation of the paths on the service port, or of the others.
func (d *document) operations(probes bool, do func(method, path string, operation node)) {
	paths := d.root.get("paths")
	for _, path := range paths.keys() {
		item := paths.get(path)
		if item.get("servers").exists() != probes {
			continue
		}
		for _, method := range []string{"get", "put", "post", "delete", "patch", "head", "options", "trace"} {
			if operation := item.get(method); operation.exists() {
				do(strings.ToUpper(method), path, operation)
			}
		}
	}
}

// TestExamplesFitTheirSchemas checks each example of a body.
func TestExamplesFitTheirSchemas(t *testing.T) {
	t.Parallel()
	d, found := load(t), 0
	var walk func(n node)
	walk = func(n node) {
		if n.get("example").exists() && n.get("schema").exists() {
			found++
			if err := n.get("schema").validate(n.get("example").value); err != nil {
				t.Errorf("%s: %v", n.pointer, err)
			}
		}
		for _, key := range n.keys() {
			if object, _ := n.value.(map[string]any); object["$ref"] == nil {
				walk(n.get(key))
			}
		}
	}
	walk(d.root.get("components", "requestBodies"))
	walk(d.root.get("components", "parameters"))
	if found < 3 {
		t.Errorf("found %d examples", found)
	}
}
