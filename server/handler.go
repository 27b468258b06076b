package server

import (
	"maps"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/server/api"
)

// newHandler mounts the APIs. A path that no API knows is answered in the format of its prefix, and in plain JSON where there is
// none.
func newHandler(apis []api.API, trustedProxies []netip.Prefix, metrics *Metrics) http.Handler {
	m := &mounter{mux: http.NewServeMux(), requests: newRequests(trustedProxies), metrics: metrics}
	for _, a := range apis {
		m.mount(a)
	}
	m.prefix("/", api.API{Name: "none", NotFound: plainNotFound})
	return cleanPaths(m.mux)
}

type mounter struct {
	mux      *http.ServeMux
	requests *requests
	metrics  *Metrics
}

func (m *mounter) mount(d api.API) {
	for _, route := range d.Routes {
		m.mux.Handle(route.Path, m.wrap(d.Name, route.Path, methods(d, route)))
	}
	for _, prefix := range d.Prefixes {
		m.prefix(prefix, d)
		m.prefix(strings.TrimSuffix(prefix, "/"), d) // or else http.ServeMux redirects it to the prefix
	}
}

func (m *mounter) prefix(prefix string, d api.API) {
	m.mux.Handle(prefix, m.wrap(d.Name, "unknown", d.NotFound))
}

// wrap gives a handler what all have: the request's audit context and its metrics.
func (m *mounter) wrap(doorName, route string, h http.HandlerFunc) http.Handler {
	durations := m.metrics.route(doorName, route)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now() //nolint:forbidigo // a duration for the metrics
		r = m.requests.begin(w, r, doorName)
		recorder := statusRecorder{ResponseWriter: w}
		defer func() { durations.of(recorder.status).Observe(time.Since(start).Seconds()) }() //nolint:forbidigo // as above
		h(&recorder, r)
	})
}

// methods picks the handler of a route by method.
func methods(d api.API, route api.Route) http.HandlerFunc {
	if any := route.Methods["*"]; any != nil {
		return any
	}
	allowed := slices.Collect(maps.Keys(route.Methods))
	if route.Methods[http.MethodGet] != nil {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if h := route.Methods[method]; h != nil {
			h(w, r)
			return
		}
		w.Header().Set("Allow", allow)
		d.MethodNotAllowed(w, r)
	}
}

// cleanPaths keeps http.ServeMux from redirecting paths with empty or dotted segments, which no client of these APIs means:
// they are looked up under a name that no route has, and so end as not found in their dialect.
func cleanPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; !isClean(p) {
			dialect, _, _ := strings.Cut(strings.TrimLeft(p, "/"), "/")
			clone := *r
			address := *r.URL
			address.Path, address.RawPath = path.Join("/", dialect, "unclean-path"), ""
			clone.URL = &address
			r = &clone
		}
		next.ServeHTTP(w, r)
	})
}

func isClean(p string) bool {
	clean := path.Clean(p)
	return p == clean || clean != "/" && p == clean+"/"
}

// statusRecorder remembers the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *statusRecorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func plainNotFound(w http.ResponseWriter, _ *http.Request) {
	api.WriteJSON(w, http.StatusNotFound, map[string]string{"error": "there is nothing at this path"})
}
