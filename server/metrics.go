package server

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
)

// Metrics are the figures of the server, for Prometheus. Create them with NewMetrics.
type Metrics struct {
	requests *prometheus.HistogramVec
	acts     *prometheus.CounterVec
	memo     prometheus.Counter
	waited   prometheus.Histogram
	computed prometheus.Histogram
}

// fast are the buckets for answers: tens of microseconds from memory, tenths of seconds for a hash, seconds in a queue.
func fast() []float64 {
	return []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// NewMetrics registers the metrics of the server with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_request_duration_seconds", Buckets: fast(),
			Help: "Time to answer a request, by door, route and status code.",
		}, []string{"door", "route", "code"}),
		acts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_acts_total",
			Help: "Logins, token checks, issues and revocations, by door, outcome and reason of a refusal.",
		}, []string{"act", "door", "outcome", "reason"}),
		memo: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_password_memo_hits_total",
			Help: "Logins with a password that was verified a short while ago, which cost no hash.",
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_password_hash_wait_seconds", Buckets: fast(),
			Help: "Time that a password hash waited for a slot.",
		}),
		computed: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_password_hash_duration_seconds", Buckets: fast(),
			Help: "Time that the hashes of one login took.",
		}),
	}
	r.MustRegister(m.requests, m.acts, m.memo, m.waited, m.computed)
	return m
}

// HashWaited implements authn.Observer.
func (m *Metrics) HashWaited(d time.Duration) { m.waited.Observe(d.Seconds()) }

// HashComputed implements authn.Observer.
func (m *Metrics) HashComputed(d time.Duration) { m.computed.Observe(d.Seconds()) }

// Count is an audit.Sink.
func (m *Metrics) Count(ctx context.Context, e audit.Event) {
	m.acts.WithLabelValues(e.Act, audit.RequestFrom(ctx).Door, e.Outcome, e.Reason).Inc()
	if e.Memo {
		m.memo.Inc()
	}
}

// route returns a stopwatch for the requests of one route: call it when a request begins, and what it returns with the
// status when the request ends.
func (m *Metrics) route(door, route string) func() func(status int) {
	byCode := m.requests.MustCurryWith(prometheus.Labels{"door": door, "route": route})
	return func() func(int) {
		start := time.Now() //nolint:forbidigo // a duration for the metrics
		return func(status int) {
			byCode.WithLabelValues(strconv.Itoa(status)).Observe(time.Since(start).Seconds()) //nolint:forbidigo // as above
		}
	}
}
