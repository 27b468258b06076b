package server

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
)

// Metrics are the figures of the server, for Prometheus. Create them with newMetrics.
type Metrics struct {
	requests  *prometheus.HistogramVec
	events    *lookupCache[eventLabels, prometheus.Counter]
	cacheHits prometheus.Counter
	waited    prometheus.Histogram
	computed  prometheus.Histogram
}

// fast are the buckets for answers: tens of microseconds from memory, tenths of seconds for a hash, seconds in a queue.
func fast() []float64 {
	return []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// newMetrics registers the metrics of the server with r.
func newMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_request_duration_seconds", Buckets: fast(),
			Help: "Time to answer a request, by API, route and status code.",
		}, []string{"api", "route", "code"}),
		cacheHits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_password_cache_hits_total",
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
	acts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_auth_events_total",
		Help: "Logins, token checks, issues and revocations, by API, outcome and reason of a refusal.",
	}, []string{"event", "api", "outcome", "reason"})
	m.events = newLookupCache(func(a eventLabels) prometheus.Counter {
		return acts.WithLabelValues(a.act, a.door, a.outcome, a.reason)
	})
	r.MustRegister(m.requests, acts, m.cacheHits, m.waited, m.computed)
	return m
}

// HashWaited implements authn.Observer.
func (m *Metrics) HashWaited(d time.Duration) { m.waited.Observe(d.Seconds()) }

// HashComputed implements authn.Observer.
func (m *Metrics) HashComputed(d time.Duration) { m.computed.Observe(d.Seconds()) }

// Count is an audit.Sink.
func (m *Metrics) Count(ctx context.Context, e audit.Event) {
	m.events.of(eventLabels{e.Name, audit.RequestFrom(ctx).API, e.Outcome, e.Reason}).Inc()
	if e.Cached {
		m.cacheHits.Inc()
	}
}

// eventLabels is the labels of one counter of acts.
type eventLabels struct{ act, door, outcome, reason string }

// route returns the histograms of one route by status.
func (m *Metrics) route(api, route string) *lookupCache[int, prometheus.Observer] {
	byCode := m.requests.MustCurryWith(prometheus.Labels{"api": api, "route": route})
	return newLookupCache(func(status int) prometheus.Observer { return byCode.WithLabelValues(strconv.Itoa(status)) })
}

// lookupCache keeps what find returned for each key, of which there are few, so that finding it again takes no lock. It is safe
// for concurrent use.
type lookupCache[K comparable, V any] struct {
	find  func(K) V
	mu    sync.Mutex // orders those who add
	known atomic.Pointer[map[K]V]
}

func newLookupCache[K comparable, V any](find func(K) V) *lookupCache[K, V] {
	m := &lookupCache[K, V]{find: find}
	m.known.Store(&map[K]V{})
	return m
}

func (m *lookupCache[K, V]) of(key K) V {
	if v, ok := (*m.known.Load())[key]; ok {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := maps.Clone(*m.known.Load())
	next[key] = m.find(key)
	m.known.Store(&next)
	return next[key]
}
