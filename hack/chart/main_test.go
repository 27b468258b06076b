package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const (
	config = "../../config"
	chart  = "../../charts/gatehouse"
)

// helm is the path of the pinned Helm.
var helm string

func TestMain(m *testing.M) {
	path, err := exec.Command("go", "tool", "-n", "helm").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build helm:", err)
		os.Exit(1)
	}
	helm = strings.TrimSpace(string(path))
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// runHelm returns what Helm prints, and an error with what it prints to standard error.
func runHelm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), helm, args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, &out, &stderr)
	}
	return out.String(), nil
}

// mustHelm returns what Helm prints. It fails the test if Helm fails.
func mustHelm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := runHelm(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// objects are manifests by id, as plain data.
type objects map[string]map[string]any

// add adds o to the objects, which must not have it yet.
func (all objects) add(t *testing.T, o *yaml.RNode) {
	t.Helper()
	data, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := errors.Join(err, json.Unmarshal(data, &fields)); err != nil {
		t.Fatal(err)
	}
	if _, ok := all[id(o)]; ok {
		t.Errorf("%s is there twice", id(o))
	}
	all[id(o)] = fields
}

// rendered returns what helm template prints for the chart.
func rendered(t *testing.T, namespace string, args ...string) objects {
	t.Helper()
	return render(t, chart, namespace, args...)
}

// render returns what helm template prints for a chart.
func render(t *testing.T, chart, namespace string, args ...string) objects {
	t.Helper()
	text := mustHelm(t, append([]string{"template", "gatehouse", chart, "--namespace", namespace}, args...)...)
	nodes, err := (&kio.ByteReader{Reader: strings.NewReader(text), OmitReaderAnnotations: true}).Read()
	if err != nil {
		t.Fatal(err)
	}
	all := objects{}
	for _, n := range nodes {
		all.add(t, n)
	}
	return all
}

// kustomized returns the objects that kustomize makes of config/default and components. It is not
// safe for parallel tests, because kustomize keeps its schemas in global variables.
func kustomized(t *testing.T, components ...string) objects {
	t.Helper()
	text := "resources: [CONFIG/default]\ncomponents: ["
	for _, c := range components {
		text += "CONFIG/components/" + c + ", "
	}
	return overlay(t, text+"]\n", map[string]string{})
}
