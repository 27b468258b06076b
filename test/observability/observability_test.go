// Package observability compares the alerts and the dashboard with the metrics of the service, and
// both with their documentation.
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

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const (
	reference = "../../docs/monitoring.md" // of the metrics
	runbook   = "../../docs/alerts.md"
	rules     = "../../config/components/prometheus/prometheusrule.yaml"
	dashboard = "../../config/grafana/dashboard.json"
)

// description matches the text of a prometheus.Desc, whose fields have no accessors.
var description = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

// exposed returns the metrics that a replica exposes, each with its labels: its own, and those of the
// Kubernetes libraries in the whole process.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	libraries, ok := metrics.Registry.(prometheus.Collector)
	if !ok {
		t.Fatal("the registry of the Kubernetes libraries does not describe its metrics")
	}
	all := described(t, servertest.New(t, servertest.Options{}).Registry)
	maps.Copy(all, described(t, libraries))
	maps.Copy(all, described(t, standalone.RejectedGauge(nil)))
	maps.Copy(all, described(t, informer.WatchMetrics(nil, nil, nil)))
	return all
}

// described returns the metrics of a collector, each with its labels.
func described(t *testing.T, c prometheus.Collector) map[string][]string {
	t.Helper()
	out := make(chan *prometheus.Desc)
	go func() {
		c.Describe(out)
		close(out)
	}()
	labels := map[string][]string{}
	for d := range out {
		m := description.FindStringSubmatch(d.String())
		if m == nil {
			t.Errorf("cannot parse the description %s", d)
			continue
		}
		labels[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
	}
	return labels
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	// metricRow matches a line of the table of metrics in the reference: name, type and labels.
	metricRow = regexp.MustCompile("(?m)^\\| `(gatehouse_[a-z_]+)` \\| (histogram|counter|gauge) \\|([^|]*)\\|")
	// codeSpan matches code in a line of Markdown.
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
)

// documented returns the labels and the type of each metric in the table of the reference.
func documented(t *testing.T) (labels map[string][]string, types map[string]string) {
	t.Helper()
	labels, types = map[string][]string{}, map[string]string{}
	for _, m := range metricRow.FindAllStringSubmatch(read(t, reference), -1) {
		names, _, _ := strings.Cut(m[3], ":") // the values of the only label follow
		labels[m[1]], types[m[1]] = nil, m[2]
		for _, l := range codeSpan.FindAllStringSubmatch(names, -1) {
			labels[m[1]] = append(labels[m[1]], l[1])
		}
	}
	return labels, types
}

func TestReferenceListsExposedMetrics(t *testing.T) {
	t.Parallel()
	table, types := documented(t)
	for name, labels := range exposed(t) {
		if !strings.HasPrefix(name, "gatehouse_") {
			continue
		}
		want, ok := table[name]
		if !ok || !slices.Equal(labels, want) {
			t.Errorf("%s has the labels %q; in the reference it has %q (found: %v)", name, labels, want, ok)
		}
		if (types[name] == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s in the reference; only counters end with _total", name, types[name])
		}
		delete(table, name)
	}
	for name := range table {
		t.Errorf("the reference has %s, which the service does not expose", name)
	}
}
