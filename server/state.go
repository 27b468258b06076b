package server

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// state is what the gauges about the whole service are read from at each scrape.
type state struct {
	directory *directory.Directory
	keys      *token.KeySet
	now       func() time.Time
	version   string
	// certificateEnds returns when the served certificate expires; nil if the service has none.
	certificateEnds func() time.Time
	// queued returns how many logins wait for a slot to compute a password hash.
	queued func() int
}

// registerState registers gauges that are read from s with r.
func registerState(r prometheus.Registerer, s state) {
	r.MustRegister(&stateCollector{
		state:       s,
		synced:      describe("gatehouse_directory_synced", "1 if the directory holds every user that was listed at startup."),
		age:         describe("gatehouse_directory_last_event_age_seconds", "Time since the last update of users, Secrets or tokens arrived."),
		heard:       describe("gatehouse_source_last_heard_age_seconds", "Time since the last sign of life of the API server, or since the folder was last read."),
		users:       describe("gatehouse_users", "Users in the directory, by state.", "state"),
		records:     describe("gatehouse_token_records", "Token records: labelled tokens and individually revoked tokens."),
		waiting:     describe("gatehouse_password_hash_queue_length", "Logins waiting for a slot to compute a password hash."),
		key:         describe("gatehouse_key_age_seconds", "Age of the key that issues tokens, by use.", "use"),
		certificate: describe("gatehouse_certificate_expiry_timestamp_seconds", "Expiry time of the served certificate."),
		lifted:      describe("gatehouse_revocations_lifted_total", "Revocations of users that were lifted before their end."),
		deleted:     describe("gatehouse_users_deleted_total", "Users that were deleted."),
		expiry:      describe("gatehouse_next_expiry_timestamp_seconds", "Next expiry of a password or an account within a week; absent if there is none."),
		build:       describe("gatehouse_build_info", "Always 1; the labels hold the versions of the binary and of Go.", "version", "go_version"),
	})
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

type stateCollector struct {
	state
	synced, age, heard, users, records, waiting, key, certificate, lifted, deleted, expiry, build *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.synced, c.age, c.heard, c.users, c.records, c.waiting, c.key, c.certificate, c.lifted, c.deleted, c.expiry, c.build} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	now := c.now()
	out <- prometheus.MustNewConstMetric(c.lifted, prometheus.CounterValue, float64(c.directory.Lifted()))
	out <- prometheus.MustNewConstMetric(c.deleted, prometheus.CounterValue, float64(c.directory.Deleted()))
	if next := c.directory.NextExpiry(now); !next.IsZero() {
		gauge(c.expiry, float64(next.Unix()))
	}
	synced := 0.0
	if c.directory.HasSynced() {
		synced = 1
	}
	gauge(c.synced, synced)
	gauge(c.build, 1, c.version, runtime.Version())
	gauge(c.records, float64(c.directory.RecordCount()))
	gauge(c.waiting, float64(c.queued()))
	if last := c.directory.LastEvent(); !last.IsZero() {
		gauge(c.age, now.Sub(last).Seconds())
	}
	if last := c.directory.LastHeard(); !last.IsZero() {
		gauge(c.heard, now.Sub(last).Seconds())
	}
	for state, n := range c.directory.CountByState(now) {
		gauge(c.users, float64(n), state)
	}
	for _, use := range []token.Use{token.Sign, token.Seal} {
		if k, ok := c.keys.Keys().Current(use, now); ok {
			gauge(c.key, now.Sub(k.ActiveAt).Seconds(), string(use))
		}
	}
	if c.certificateEnds == nil {
		return
	}
	if end := c.certificateEnds(); !end.IsZero() {
		gauge(c.certificate, float64(end.Unix()))
	}
}
