package observability

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// query is an expression of an alert or a panel, and the labels of its result that its texts show.
type query struct {
	where, expr string
	shown       []string
}

type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Annotations map[string]string `json:"annotations"`
}

// alerts returns all alerts of the PrometheusRule.
func alerts(t *testing.T) []alert {
	t.Helper()
	var rule struct {
		Spec struct {
			Groups []struct {
				Rules []alert `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(read(t, rules)), &rule); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range rule.Spec.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no alerts")
	}
	return all
}

var (
	alertLabel  = regexp.MustCompile(`\$labels\.(\w+)`)
	legendLabel = regexp.MustCompile(`\{\{ *(\w+) *\}\}`)
	variables   = strings.NewReplacer("$__rate_interval", "5m", "$namespace", "gatehouse-system")
)

// queries returns the expressions of all alerts and of all panels of the dashboard.
func queries(t *testing.T) []query {
	t.Helper()
	var all []query
	for _, a := range alerts(t) {
		all = append(all, query{a.Alert, a.Expr, submatches(alertLabel, a.Annotations["summary"]+a.Annotations["description"])})
	}
	var board struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr         string `json:"expr"`
				LegendFormat string `json:"legendFormat"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, dashboard)), &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all = append(all, query{"panel " + p.Title, variables.Replace(target.Expr), submatches(legendLabel, target.LegendFormat)})
		}
	}
	return all
}

// submatches returns the first group of each match.
func submatches(pattern *regexp.Regexp, text string) []string {
	var all []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// targetLabels are the labels that Prometheus adds to each series that it scrapes by the
// ServiceMonitor.
var targetLabels = []string{"namespace", "service", "job", "pod", "instance", "container", "endpoint"}

// libraryMetrics are those of client_golang, which describe themselves only while they are
// collected, and of Prometheus itself.
var libraryMetrics = map[string][]string{"process_resident_memory_bytes": nil, "process_cpu_seconds_total": nil, "up": nil}

// catalog is what queries may ask for.
type catalog struct {
	metrics map[string][]string
	types   map[string]string
	words   []string // all code in the documents, which includes the values of labels
}

func newCatalog(t *testing.T) *catalog {
	t.Helper()
	c := &catalog{metrics: exposed(t)}
	maps.Copy(c.metrics, libraryMetrics)
	_, c.types = documented(t)
	c.words = submatches(codeSpan, strings.ReplaceAll(read(t, reference)+read(t, "../../docs/audit-log.md")+read(t, "../../docs/users.md"), "```", ""))
	return c
}

// labels returns the labels of the series with that name.
func (c *catalog) labels(name string) ([]string, error) {
	for suffix, more := range map[string][]string{"_bucket": {"le"}, "_count": nil, "_sum": nil} {
		base, cut := strings.CutSuffix(name, suffix)
		if cut && c.types[base] == "histogram" {
			return slices.Concat(c.metrics[base], more, targetLabels), nil
		}
	}
	if l, ok := c.metrics[name]; ok && c.types[name] != "histogram" {
		return slices.Concat(l, targetLabels), nil
	}
	return nil, fmt.Errorf("the service has no series %s", name)
}

// result returns the labels that the result of an expression has. It fails if the expression asks
// for a series, a label or a value that does not exist.
func (c *catalog) result(e parser.Expr) ([]string, error) {
	switch e := e.(type) {
	case *parser.VectorSelector:
		return c.selected(e)
	case *parser.AggregateExpr:
		inner, err := c.result(e.Expr)
		if missing := firstMissing(e.Grouping, inner); err == nil && missing != "" {
			err = fmt.Errorf("there is no label %s in %s", missing, e.Expr)
		}
		if e.Without {
			return slices.DeleteFunc(inner, func(l string) bool { return slices.Contains(e.Grouping, l) }), err
		}
		return e.Grouping, err
	case *parser.BinaryExpr:
		return c.binaryResult(e)
	}
	var all []string
	for child := range parser.ChildrenIter(e) {
		expr, ok := child.(parser.Expr)
		if !ok {
			continue
		}
		l, err := c.result(expr)
		if err != nil {
			return nil, err
		}
		all = append(all, l...)
	}
	return all, nil
}

// binaryResult returns the labels of the left side, or those of both sides where either may be the
// result.
func (c *catalog) binaryResult(e *parser.BinaryExpr) ([]string, error) {
	left, err := c.result(e.LHS)
	if err != nil {
		return nil, err
	}
	right, err := c.result(e.RHS)
	if e.Op == parser.LOR {
		return slices.DeleteFunc(left, func(l string) bool { return !slices.Contains(right, l) }), err
	}
	return left, err
}

// selected returns the labels of the series that a selector asks for.
func (c *catalog) selected(e *parser.VectorSelector) ([]string, error) {
	all, err := c.labels(e.Name)
	if err != nil {
		return nil, err
	}
	for _, m := range e.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			continue
		}
		if !slices.Contains(all, m.Name) {
			return nil, fmt.Errorf("%s has no label %s", e.Name, m.Name)
		}
		if err := c.checkValue(m); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return all, nil
}

// checkValue fails if a matcher asks for a value of a label of Gatehouse that no document has: such
// a query never matches anything.
func (c *catalog) checkValue(m *labels.Matcher) error {
	if !slices.Contains([]string{"event", "outcome", "reason", "state", "use", "api"}, m.Name) {
		return nil
	}
	for value := range strings.SplitSeq(m.Value, "|") {
		if !slices.Contains(c.words, value) {
			return fmt.Errorf("no document has the value %s of %s", value, m.Name)
		}
	}
	return nil
}

// firstMissing returns the first string in wanted that is not in present, or "".
func firstMissing(wanted, present []string) string {
	for _, l := range wanted {
		if !slices.Contains(present, l) {
			return l
		}
	}
	return ""
}

func TestAlertsAndPanelsQueryExistingSeries(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)
	p := parser.NewParser(parser.Options{})
	for _, q := range queries(t) {
		t.Run(q.where, func(t *testing.T) {
			expr, err := p.ParseExpr(q.expr)
			if err != nil {
				t.Fatal(err)
			}
			result, err := c.result(expr)
			if err != nil {
				t.Fatal(err)
			}
			if missing := firstMissing(q.shown, result); missing != "" {
				t.Errorf("a text shows the label %s, which the result does not have: %q", missing, result)
			}
		})
	}
}

func TestQueryMistakesAreFound(t *testing.T) {
	t.Parallel()
	c := newCatalog(t)
	p := parser.NewParser(parser.Options{})
	for text, want := range map[string]string{
		`gatehouse_user`:                                                  "no series gatehouse_user",
		`gatehouse_request_duration_seconds`:                              "no series",
		`gatehouse_users_count`:                                           "no series",
		`gatehouse_users{status="Locked"}`:                                "no label status",
		`gatehouse_users{state="Looked"}`:                                 "value Looked",
		`sum by (route) (gatehouse_auth_events_total)`:                    "no label route",
		`rate(gatehouse_auth_events_total{reason=~"busy|sleepy"}[5m])`:    "value sleepy",
		`1 - absent(gatehouse_build_infos)`:                               "no series gatehouse_build_infos",
		`gatehouse_users and on () sum(gatehouse_directory_synced{x=""})`: "no label x",
	} {
		expr, err := p.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.result(expr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestAlertsLookAtOneNamespace holds because a release that works would otherwise hide one that does
// not. A standalone service is in no namespace.
func TestAlertsLookAtOneNamespace(t *testing.T) {
	t.Parallel()
	metric := regexp.MustCompile(`\b(?:gatehouse|rest_client|controller_runtime)_[a-z_]+\b(\{namespace="gatehouse-system"[,}])?|\bup\b(\{namespace="gatehouse-system"[,}])?`)
	for _, a := range alerts(t) {
		for _, m := range metric.FindAllStringSubmatch(a.Expr, -1) {
			if m[1]+m[2] == "" && m[0] != "gatehouse_manifests_rejected_objects" {
				t.Errorf("%s looks at %s in all namespaces", a.Alert, m[0])
			}
		}
	}
}

// alertSection matches the heading and the first line of an alert's section in the runbook.
var alertSection = regexp.MustCompile(`(?m)^## (Gatehouse\w+)\n\n([^#\n].*)`)

func TestEveryAlertHasASectionInTheRunbook(t *testing.T) {
	t.Parallel()
	sections := map[string]bool{}
	for _, m := range alertSection.FindAllStringSubmatch(read(t, runbook), -1) {
		sections[m[1]] = true
	}
	for _, a := range alerts(t) {
		if !sections[a.Alert] {
			t.Errorf("%s has no section in the runbook", a.Alert)
		}
		delete(sections, a.Alert)
		if url := a.Annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/alerts.md#"+strings.ToLower(a.Alert)) {
			t.Errorf("the runbook_url of %s is %s", a.Alert, url)
		}
	}
	for name := range sections {
		t.Errorf("the runbook has a section %s, which is not an alert", name)
	}
}
