// Package observability compares what watches the service, alerts and a dashboard, with the metrics that the service has, and
// both with what is written about them.
package observability

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	_ "sigs.k8s.io/controller-runtime/pkg/builder" // registers the metrics of the Kubernetes libraries
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/gatehouse-auth/gatehouse/server"
)

const (
	runbook   = "../../docs/operations.md"
	rules     = "../../config/components/prometheus/prometheusrule.yaml"
	dashboard = "../../config/grafana/dashboard.json"
)

var description = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

// exposed returns the metrics that a replica registers, each with its labels.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	libraries, ok := metrics.Registry.(prometheus.Collector)
	if !ok {
		t.Fatal("the registry of the Kubernetes libraries cannot describe its metrics")
	}
	own := prometheus.NewRegistry()
	server.New(server.Config{Registry: own})
	all := described(t, libraries)
	maps.Copy(all, described(t, own))
	return all
}

func described(t *testing.T, c prometheus.Collector) map[string][]string {
	t.Helper()
	out := make(chan *prometheus.Desc)
	go func() {
		c.Describe(out)
		close(out)
	}()
	names := map[string][]string{}
	for d := range out {
		m := description.FindStringSubmatch(d.String())
		if m == nil {
			t.Errorf("cannot read %s", d)
			continue
		}
		names[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// row is a line of the table of metrics in the runbook: name, type and labels. quoted is what is written as code.
var (
	row    = regexp.MustCompile("(?m)^\\| `(gatehouse_[a-z_]+)` \\| (histogram|counter|gauge) \\|([^|]*)\\|")
	quoted = regexp.MustCompile("`([^`\n]+)`")
)

// documented returns the labels and the type of each metric of ours in the table of the runbook.
func documented(t *testing.T) (labels map[string][]string, types map[string]string) {
	t.Helper()
	labels, types = map[string][]string{}, map[string]string{}
	for _, m := range row.FindAllStringSubmatch(read(t, runbook), -1) {
		names, _, _ := strings.Cut(m[3], ":") // after it come the values of the one label
		labels[m[1]], types[m[1]] = nil, m[2]
		for _, l := range quoted.FindAllStringSubmatch(names, -1) {
			labels[m[1]] = append(labels[m[1]], l[1])
		}
	}
	return labels, types
}

func TestTheTableOfMetricsIsWhatTheServiceExposes(t *testing.T) {
	table, types := documented(t)
	for name, labels := range exposed(t) {
		if !strings.HasPrefix(name, "gatehouse_") {
			continue
		}
		want, ok := table[name]
		if !ok || !slices.Equal(labels, want) {
			t.Errorf("%s has the labels %q; the runbook says %q (found: %v)", name, labels, want, ok)
		}
		if (types[name] == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s by the runbook", name, types[name])
		}
		delete(table, name)
	}
	for name := range table {
		t.Errorf("the runbook has %s, which the service does not", name)
	}
}
