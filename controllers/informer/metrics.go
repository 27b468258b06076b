package informer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// watchCollector shows how each kind of object is followed in each namespace. Its label is not
// "namespace", which Prometheus sets to the namespace of the Pod.
type watchCollector struct {
	namespaces           *Namespaces
	tenants              *Tenants
	now                  func() time.Time
	synced, age, success *prometheus.Desc
}

// WatchMetrics returns the metrics of how each kind is followed in each namespace, and of the Tenants.
func WatchMetrics(namespaces *Namespaces, tenants *Tenants, now func() time.Time) prometheus.Collector {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"watched_namespace", "kind"}, nil)
	}
	return &watchCollector{
		namespaces: namespaces, tenants: tenants, now: now,
		synced:  describe("gatehouse_watch_synced", "1 if the objects of a kind in a namespace are loaded and the API server does not refuse to show them."),
		age:     describe("gatehouse_watch_last_heard_age_seconds", "Time since anything last arrived on the watch of a kind in a namespace; about once a minute, something does."),
		success: describe("gatehouse_watch_last_success_timestamp_seconds", "When the API server last accepted a list or a watch of a kind in a namespace."),
	}
}

// Describe implements prometheus.Collector.
func (c *watchCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.synced, c.age, c.success} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *watchCollector) Collect(out chan<- prometheus.Metric) {
	c.collect(out, c.tenants.Namespace(), Tenant, c.tenants.State())
	for _, namespace := range c.namespaces.Names() {
		for kind, state := range c.namespaces.States(namespace) {
			c.collect(out, namespace, kind, state)
		}
	}
}

func (c *watchCollector) collect(out chan<- prometheus.Metric, namespace, kind string, s State) {
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, namespace, kind)
	}
	synced := 0.0
	if s.Synced && s.RefusedSince.IsZero() {
		synced = 1
	}
	gauge(c.synced, synced)
	if !s.LastHeard.IsZero() {
		gauge(c.age, c.now().Sub(s.LastHeard).Seconds())
	}
	if !s.LastSuccess.IsZero() {
		gauge(c.success, float64(s.LastSuccess.UnixMilli())/1000)
	}
}
