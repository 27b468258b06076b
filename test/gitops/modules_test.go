package gitops

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The modules whose CRDs the examples are tested with. They are not dependencies of this module, because
// only their YAML files are used; the Go command verifies what it downloads.
const (
	fluxKustomize      = "github.com/fluxcd/kustomize-controller@v1.9.6"
	fluxSource         = "github.com/fluxcd/source-controller@v1.9.6"
	argoCD             = "github.com/argoproj/argo-cd/v3@v3.5.7"
	sealedSecrets      = "github.com/bitnami-labs/sealed-secrets@v0.40.0"
	externalSecrets    = "github.com/external-secrets/external-secrets@v1.3.2"
	prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
)

// download returns the folder of a module's source.
func download(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); jsonErr != nil || answer.Dir == "" {
		t.Fatalf("download %s: %v %s", module, err, answer.Error)
	}
	return answer.Dir
}

// moduleFile returns the path of a file in the source of a Go module.
func moduleFile(t *testing.T, module, file string) string {
	t.Helper()
	path := filepath.Join(download(t, module), filepath.FromSlash(file))
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}
