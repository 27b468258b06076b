package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
)

// registerIssuers registers gauges about the trusted issuers of v with r.
func registerIssuers(r prometheus.Registerer, v *assertion.Verifier, now func() time.Time) {
	r.MustRegister(&issuerCollector{v, now, describe("gatehouse_issuer_keys_age_seconds",
		"Time since the keys of a trusted issuer were last fetched, by issuer; absent until they are.", "issuer")})
}

type issuerCollector struct {
	verifier *assertion.Verifier
	now      func() time.Time
	age      *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *issuerCollector) Describe(out chan<- *prometheus.Desc) { out <- c.age }

// Collect implements prometheus.Collector.
func (c *issuerCollector) Collect(out chan<- prometheus.Metric) {
	collected := map[string]bool{}
	for _, i := range c.verifier.Issuers() {
		at := i.FetchedAt()
		if at.IsZero() || collected[i.Name()] {
			continue
		}
		collected[i.Name()] = true
		out <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, c.now().Sub(at).Seconds(), i.Name())
	}
}
