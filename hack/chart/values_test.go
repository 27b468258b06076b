package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestEveryFlagIsAValue compares the schema with the documented flags, except those that the chart
// sets itself or that are not for a cluster.
func TestEveryFlagIsAValue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/flags.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` ").FindAllStringSubmatch(string(page), -1) {
		want = append(want, m[1])
	}
	for _, excluded := range []string{
		"namespaces", "tls-cert-dir", "trusted-issuers", "bind-address", "health-probe-bind-address", "metrics-bind-address", "manifests", "state-dir", "print-curl",
	} {
		if i := slices.Index(want, excluded); i >= 0 {
			want = slices.Delete(want, i, i+1)
		} else {
			t.Errorf("--%s is not documented", excluded)
		}
	}
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(schema(t).Properties["flags"].Properties))
	if !slices.Equal(got, want) {
		t.Errorf("values.schema.json has the flags\n%q\nand docs/flags.md has\n%q", got, want)
	}
}

// node is the part of a JSON schema that the tests read.
type node struct {
	Properties map[string]*node `json:"properties"`
}

// schema returns that of the chart's values.
func schema(t *testing.T) *node {
	t.Helper()
	data, err := os.ReadFile(chart + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root node
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	return &root
}

func TestEveryValueHasADefaultAndASchema(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(data, &values); err != nil {
		t.Fatal(err)
	}
	compareNames(t, "", values, schema(t))
}

// compareNames checks that values and schema have the same names, at each depth.
func compareNames(t *testing.T, path string, values map[string]any, n *node) {
	t.Helper()
	for name, value := range values {
		child := n.Properties[name]
		if child == nil {
			t.Errorf("values.schema.json does not have %s%s", path, name)
			continue
		}
		if inner, ok := value.(map[string]any); ok && len(inner) > 0 && len(child.Properties) > 0 {
			compareNames(t, path+name+".", inner, child)
		}
	}
	for name := range n.Properties {
		if _, ok := values[name]; !ok {
			t.Errorf("values.yaml does not have %s%s", path, name)
		}
	}
}

func TestEveryValueHasAComment(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	leaf := regexp.MustCompile(`^ *[A-Za-z]+: ?.*$`)
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		opens := i+1 < len(lines) && strings.HasSuffix(line, ":")
		if !leaf.MatchString(line) || opens || strings.HasPrefix(line, "    cpu") || strings.HasPrefix(line, "    memory") {
			continue
		}
		if i == 0 || !strings.HasPrefix(strings.TrimSpace(lines[i-1]), "#") {
			t.Errorf("line %d of values.yaml has no comment: %s", i+1, line)
		}
	}
}
