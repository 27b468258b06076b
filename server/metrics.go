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

// Metrics are the Prometheus metrics of the server. Create them with newMetrics. They are safe for
// concurrent use.
type Metrics struct {
	requests  *prometheus.HistogramVec
	events    *lookupCache[eventLabels, prometheus.Counter]
	cacheHits prometheus.Counter
	asserted  *prometheus.CounterVec
	hashWait  prometheus.Histogram
	hashTime  prometheus.Histogram
}

// latencyBuckets returns histogram buckets in seconds that cover all response times: tens of
// microseconds from memory, tenths of seconds for a hash, seconds in a queue.
func latencyBuckets() []float64 {
	return []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// newMetrics registers the metrics of the server with r.
func newMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_request_duration_seconds", Buckets: latencyBuckets(),
			Help: "Time to answer a request, by API, route and status code.",
		}, []string{"api", "route", "code"}),
		cacheHits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_password_cache_hits_total",
			Help: "Logins whose password was verified recently, so that no hash was computed.",
		}),
		hashWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_password_hash_wait_seconds", Buckets: latencyBuckets(),
			Help: "Time a password hash waited for a slot.",
		}),
		hashTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gatehouse_password_hash_duration_seconds", Buckets: latencyBuckets(),
			Help: "Time to compute the password hashes of one login.",
		}),
	}
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_auth_events_total",
		Help: "Logins, token checks, issued tokens, revocations, lists of tokens and panics, by API, outcome and reason for refusal.",
	}, []string{"event", "api", "outcome", "reason"})
	m.asserted = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_assertions_total",
		Help: "Logins with a token of another issuer, by trusted issuer and outcome; no issuer if it is not trusted.",
	}, []string{"issuer", "outcome"})
	m.events = newLookupCache(func(l eventLabels) prometheus.Counter {
		return events.WithLabelValues(l.event, l.api, l.outcome, l.reason)
	})
	r.MustRegister(m.requests, events, m.cacheHits, m.asserted, m.hashWait, m.hashTime)
	return m
}

// HashWaited implements authn.Observer. It records how long a login waited for a slot.
func (m *Metrics) HashWaited(d time.Duration) { m.hashWait.Observe(d.Seconds()) }

// HashComputed implements authn.Observer. It records how long the hashes of a login took.
func (m *Metrics) HashComputed(d time.Duration) { m.hashTime.Observe(d.Seconds()) }

// Count implements audit.Sink: it counts e under the API of the request in ctx.
func (m *Metrics) Count(ctx context.Context, e audit.Event) {
	m.events.get(eventLabels{e.Name, audit.RequestFrom(ctx).API, e.Outcome, e.Reason}).Inc()
	if e.Cached {
		m.cacheHits.Inc()
	}
	if e.Credential == audit.Identity {
		m.asserted.WithLabelValues(e.Issuer, e.Outcome).Inc()
	}
}

// eventLabels are the label values of one counter of events.
type eventLabels struct{ event, api, outcome, reason string }

// route returns the duration histograms of one route, by status code.
func (m *Metrics) route(api, route string) *lookupCache[int, prometheus.Observer] {
	byCode := m.requests.MustCurryWith(prometheus.Labels{"api": api, "route": route})
	return newLookupCache(func(status int) prometheus.Observer { return byCode.WithLabelValues(strconv.Itoa(status)) })
}

// lookupCache keeps what find returned for each key, so that later lookups of the same key take no
// lock. It suits small sets of keys: adding one copies the map. It is safe for concurrent use.
type lookupCache[K comparable, V any] struct {
	find  func(K) V
	mu    sync.Mutex // serializes additions
	known atomic.Pointer[map[K]V]
}

func newLookupCache[K comparable, V any](find func(K) V) *lookupCache[K, V] {
	m := &lookupCache[K, V]{find: find}
	m.known.Store(&map[K]V{})
	return m
}

func (m *lookupCache[K, V]) get(key K) V {
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
