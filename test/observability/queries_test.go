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

// query is an expression of an alert or a panel, with the text that shows labels of its result.
type query struct {
	where, expr string
	shown       []string
}

type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Annotations map[string]string `json:"annotations"`
}

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

func queries(t *testing.T) []query {
	t.Helper()
	var all []query
	for _, a := range alerts(t) {
		all = append(all, query{a.Alert, a.Expr, found(alertLabel, a.Annotations["summary"]+a.Annotations["description"])})
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
			all = append(all, query{"panel " + p.Title, variables.Replace(target.Expr), found(legendLabel, target.LegendFormat)})
		}
	}
	return all
}

func found(pattern *regexp.Regexp, text string) []string {
	var all []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// ofTheTarget are the labels that Prometheus gives to whatever it scrapes by the ServiceMonitor.
var ofTheTarget = []string{"namespace", "service", "job", "pod", "instance", "container", "endpoint"}

// library are metrics of client_golang's own, which describe themselves only while they are collected, and Prometheus' own.
var library = map[string][]string{"process_resident_memory_bytes": nil, "process_cpu_seconds_total": nil, "up": nil}

// world is what queries may ask for.
type world struct {
	metrics map[string][]string
	types   map[string]string
	words   []string // what is written as code in the documents: values of labels among it
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{metrics: exposed(t)}
	maps.Copy(w.metrics, library)
	_, w.types = documented(t)
	w.words = found(quoted, strings.ReplaceAll(read(t, runbook)+read(t, "../../docs/users.md"), "```", ""))
	return w
}

// labels returns the labels of a series of that name.
func (w *world) labels(name string) ([]string, error) {
	for suffix, more := range map[string][]string{"_bucket": {"le"}, "_count": nil, "_sum": nil} {
		base, cut := strings.CutSuffix(name, suffix)
		if cut && w.types[base] == "histogram" {
			return slices.Concat(w.metrics[base], more, ofTheTarget), nil
		}
	}
	if l, ok := w.metrics[name]; ok && w.types[name] != "histogram" {
		return slices.Concat(l, ofTheTarget), nil
	}
	return nil, fmt.Errorf("the service has no series %s", name)
}

// result returns the labels that the result of an expression has, and an error when something in it is not there.
func (w *world) result(e parser.Expr) ([]string, error) {
	switch e := e.(type) {
	case *parser.VectorSelector:
		return w.selected(e)
	case *parser.AggregateExpr:
		inner, err := w.result(e.Expr)
		if missing := firstMissing(e.Grouping, inner); err == nil && missing != "" {
			err = fmt.Errorf("there is no label %s in %s", missing, e.Expr)
		}
		if e.Without {
			return slices.DeleteFunc(inner, func(l string) bool { return slices.Contains(e.Grouping, l) }), err
		}
		return e.Grouping, err
	case *parser.BinaryExpr:
		return w.joined(e)
	}
	var all []string
	for child := range parser.ChildrenIter(e) {
		expr, ok := child.(parser.Expr)
		if !ok {
			continue
		}
		l, err := w.result(expr)
		if err != nil {
			return nil, err
		}
		all = append(all, l...)
	}
	return all, nil
}

// joined returns the labels of the left side, or of both where either may be the result.
func (w *world) joined(e *parser.BinaryExpr) ([]string, error) {
	left, err := w.result(e.LHS)
	if err != nil {
		return nil, err
	}
	right, err := w.result(e.RHS)
	if e.Op == parser.LOR {
		return slices.DeleteFunc(left, func(l string) bool { return !slices.Contains(right, l) }), err
	}
	return left, err
}

func (w *world) selected(e *parser.VectorSelector) ([]string, error) {
	all, err := w.labels(e.Name)
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
		if err := w.known(m); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return all, nil
}

// known fails when a matcher asks for a value of one of our labels that no document has: such a query would match nothing, for ever.
func (w *world) known(m *labels.Matcher) error {
	if !slices.Contains([]string{"event", "outcome", "reason", "state", "use", "api"}, m.Name) {
		return nil
	}
	for value := range strings.SplitSeq(m.Value, "|") {
		if !slices.Contains(w.words, value) {
			return fmt.Errorf("no document has the value %s of %s", value, m.Name)
		}
	}
	return nil
}

func firstMissing(wanted, there []string) string {
	for _, l := range wanted {
		if !slices.Contains(there, l) {
			return l
		}
	}
	return ""
}

func TestAlertsAndPanelsAskForWhatIsThere(t *testing.T) {
	w := newWorld(t)
	p := parser.NewParser(parser.Options{})
	for _, q := range queries(t) {
		t.Run(q.where, func(t *testing.T) {
			expr, err := p.ParseExpr(q.expr)
			if err != nil {
				t.Fatal(err)
			}
			result, err := w.result(expr)
			if err != nil {
				t.Fatal(err)
			}
			if missing := firstMissing(q.shown, result); missing != "" {
				t.Errorf("it shows the label %s, which its result does not have: %q", missing, result)
			}
		})
	}
}

func TestEachMistakeInAQueryIsFound(t *testing.T) {
	w := newWorld(t)
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
		if _, err := w.result(expr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

var section = regexp.MustCompile(`(?m)^### (Gatehouse\w+)\n\n([^#\n].*)`)

func TestEveryAlertHasASectionInTheRunbook(t *testing.T) {
	sections := map[string]bool{}
	for _, m := range section.FindAllStringSubmatch(read(t, runbook), -1) {
		sections[m[1]] = true
	}
	for _, a := range alerts(t) {
		if !sections[a.Alert] {
			t.Errorf("%s has no text in the runbook", a.Alert)
		}
		delete(sections, a.Alert)
		if url := a.Annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/operations.md#"+strings.ToLower(a.Alert)) {
			t.Errorf("%s leads to %s", a.Alert, url)
		}
	}
	for name := range sections {
		t.Errorf("the runbook explains %s, which is no alert", name)
	}
}
