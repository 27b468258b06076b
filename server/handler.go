package server

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// newHandler returns a handler that serves all APIs. For an unknown path it answers 404 in the
// format of the API that owns the prefix, or as generic JSON if no API owns it.
func newHandler(apis []api.API, trustedProxies []netip.Prefix, metrics *Metrics, sink audit.Sink) http.Handler {
	m := &mounter{mux: http.NewServeMux(), requests: newRequests(trustedProxies), metrics: metrics, audit: sink}
	for _, a := range apis {
		m.mount(a)
	}
	m.prefix("/", api.API{Name: "none", NotFound: genericNotFound})
	return cleanPaths(m.mux)
}

type mounter struct {
	mux      *http.ServeMux
	requests *requests
	metrics  *Metrics
	audit    audit.Sink
	bodies   bodies
}

func (m *mounter) mount(a api.API) {
	for _, route := range a.Routes {
		m.mux.Handle(route.Path, m.wrap(a.Name, route.Path, m.limitBody(a, dispatchMethod(a, route))))
	}
	for _, prefix := range a.Prefixes {
		m.prefix(prefix, a)
		m.prefix(strings.TrimSuffix(prefix, "/"), a) // otherwise http.ServeMux redirects it to the prefix
	}
}

func (m *mounter) prefix(prefix string, a api.API) {
	m.mux.Handle(prefix, m.wrap(a.Name, "unknown", a.NotFound))
}

// wrap adds to h what all handlers share: the audit context of the request, and metrics.
func (m *mounter) wrap(apiName, route string, h http.HandlerFunc) http.Handler {
	durations := m.metrics.route(apiName, route)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now() //nolint:forbidigo // measures a duration for the metrics
		r = m.requests.begin(w, r, apiName)
		recorder := statusRecorder{ResponseWriter: w}
		defer func() { durations.get(recorder.status).Observe(time.Since(start).Seconds()) }() //nolint:forbidigo // as above
		defer m.reportPanic(r)
		h(&recorder, r)
	})
}

// reportPanic reports a panic of a handler. Like http.Server, it breaks the connection off, but it
// leaves out the value of the panic, which may come from the request.
func (m *mounter) reportPanic(r *http.Request) {
	value := recover()
	if value == nil {
		return
	}
	if err, ok := value.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		m.audit(r.Context(), audit.Event{
			Name: audit.Panic, Outcome: audit.Failed, Reason: "error", Detail: fmt.Sprintf("%T\n%s", value, debug.Stack()),
		})
	}
	panic(http.ErrAbortHandler) //nolint:forbidigo // tells http.Server to break the connection off, and to log nothing
}

// limitBody keeps the bodies in flight within their bounds. A request that would exceed them is
// unavailable.
func (m *mounter) limitBody(a api.API, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			h(w, r)
			return
		}
		reserved, ok := m.bodies.reserve(r.ContentLength, audit.RequestFrom(r.Context()).Source)
		if !ok {
			a.Unavailable(w, r)
			return
		}
		defer m.bodies.release(reserved)
		h(w, r)
	}
}

// dispatchMethod returns a handler that picks the route's handler by method. For other methods it
// sets Allow and answers 405 in the format of the API.
func dispatchMethod(a api.API, route api.Route) http.HandlerFunc {
	if h := route.Methods["*"]; h != nil {
		return h
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
		a.MethodNotAllowed(w, r)
	}
}

// cleanPaths keeps http.ServeMux from redirecting paths with empty or dotted segments, which
// clients of these APIs do not send on purpose. It replaces such a path by one below the same first
// segment that no route has, so that the API of that prefix answers 404.
func cleanPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; !isClean(p) {
			first, _, _ := strings.Cut(strings.TrimLeft(p, "/"), "/")
			clone := *r
			address := *r.URL
			address.Path, address.RawPath = path.Join("/", first, "unclean-path"), ""
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

// statusRecorder records the status of a response.
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

// Hijack lets a handler hold the connection. The response that then comes later has status 200.
func (r *statusRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.status = http.StatusOK
	}
	return conn, buffers, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func genericNotFound(w http.ResponseWriter, _ *http.Request) {
	api.WriteJSON(w, http.StatusNotFound, map[string]string{"error": "not found"})
}
