package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// The release pushes the chart with the commands of make package-chart and make chart-push, and signs the
// digest that Helm prints.
func TestPackagedChartCanBePushed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	packed, pulled := t.TempDir(), t.TempDir()
	mustHelm(t, "package", chart, "--destination", packed, "--version", "1.2.3", "--app-version", "v1.2.3")
	out := mustHelm(t, "push", filepath.Join(packed, "gatehouse-1.2.3.tgz"), "oci://"+host+"/charts", "--plain-http")
	if !strings.Contains(out, "\nDigest: sha256:") {
		t.Errorf("the workflow of releases finds no digest in %q", out)
	}
	mustHelm(t, "pull", "oci://"+host+"/charts/gatehouse", "--version", "1.2.3", "--destination", pulled, "--plain-http")
	sent, received := read(t, packed), read(t, pulled)
	if !bytes.Equal(sent, received) {
		t.Errorf("of the %d bytes that were pushed, %d came back", len(sent), len(received))
	}
}

// read returns the packaged chart in a folder.
func read(t *testing.T, folder string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, "gatehouse-1.2.3.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
