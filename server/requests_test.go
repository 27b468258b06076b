package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
)

func TestSourceTrustsOnlyTrustedProxies(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		trusted   []netip.Prefix
		want      string
	}{
		"no proxy is trusted":               {"10.1.1.1:5", []string{"192.0.2.1"}, nil, "10.1.1.1"},
		"an untrusted peer is ignored":      {"198.51.100.7:5", []string{"192.0.2.1"}, trusted, "198.51.100.7"},
		"a trusted proxy is believed":       {"10.1.1.1:5", []string{"192.0.2.1"}, trusted, "192.0.2.1"},
		"also over IPv6":                    {"[fd00::1]:5", []string{"2001:db8::1"}, trusted, "2001:db8::1"},
		"an IPv4 peer of an IPv6 socket":    {"[::ffff:10.1.1.1]:5", []string{"::ffff:192.0.2.1"}, trusted, "192.0.2.1"},
		"what the client wrote is ignored":  {"10.1.1.1:5", []string{"127.0.0.1, 192.0.2.1"}, trusted, "192.0.2.1"},
		"also in a separate header":         {"10.1.1.1:5", []string{"127.0.0.1", "192.0.2.1"}, trusted, "192.0.2.1"},
		"a chain of trusted proxies":        {"10.1.1.1:5", []string{"192.0.2.1, 10.2.2.2,10.3.3.3"}, trusted, "192.0.2.1"},
		"a chain in several headers":        {"10.1.1.1:5", []string{"192.0.2.1", "10.2.2.2"}, trusted, "192.0.2.1"},
		"only trusted hops: the farthest":   {"10.1.1.1:5", []string{"10.2.2.2, 10.3.3.3"}, trusted, "10.2.2.2"},
		"no header: the proxy itself":       {"10.1.1.1:5", nil, trusted, "10.1.1.1"},
		"an empty header: the same":         {"10.1.1.1:5", []string{""}, trusted, "10.1.1.1"},
		"an invalid address ends the chain": {"10.1.1.1:5", []string{"192.0.2.1, unknown"}, trusted, "10.1.1.1"},
		"also after a trusted hop":          {"10.1.1.1:5", []string{"192.0.2.1, x, 10.2.2.2"}, trusted, "10.2.2.2"},
		"an untrusted hop ends the chain":   {"10.1.1.1:5", []string{"192.0.2.1, 198.51.100.7, 10.2.2.2"}, trusted, "198.51.100.7"},
		"an invalid peer has no source":     {"somewhere", []string{"192.0.2.1"}, trusted, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.forwarded
			if got := newRequests(c.trusted).source(r); got.String() != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestRequestIDIsTheClientsIfLoggable(t *testing.T) {
	t.Parallel()
	q := newRequests(nil)
	begin := func(ids ...string) string {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.Header["X-Request-Id"] = ids
		r = q.begin(w, r, "redis")
		if request := audit.RequestFrom(r.Context()); request.API != "redis" || request.ID != w.Header().Get("X-Request-Id") {
			t.Errorf("%+v has the response header %s", request, w.Header().Get("X-Request-Id"))
		}
		return w.Header().Get("X-Request-Id")
	}
	for _, id := range []string{"a", "4bf92f35-77b3", "A.B:c/d+e=f@g_h", strings.Repeat("x", maximumRequestID)} {
		if got := begin(id); got != id {
			t.Errorf("%q became %q", id, got)
		}
	}
	seen := map[string]bool{}
	for _, id := range []string{"", "a b", "a\nb", "é", `"`, "<x>", "{}", strings.Repeat("x", maximumRequestID+1)} {
		got := begin(id)
		if got == id || seen[got] || !isLoggableID(got) {
			t.Errorf("%q became %q", id, got)
		}
		seen[got] = true
	}
	if got := begin(); got == "" || seen[got] {
		t.Errorf("no ID became %q", got)
	}
	if other := newRequests(nil); strings.HasPrefix(begin(), other.prefix) {
		t.Error("two processes generate the same IDs")
	}
}

func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1", "10.0.0.1, 192.0.2.1", "x", ",,,", "::1%eth0", "[::1]:80", "10.0.0.1:5", " 10.0.0.1\t"} {
		f.Add(seed)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = "10.1.1.1:5", []string{header}
		got := newRequests(trusted).source(r)
		if !got.IsValid() || got.String() != "10.1.1.1" && !strings.Contains(header, ".") && !strings.Contains(header, ":") {
			t.Fatalf("%q came from %s", header, got)
		}
		r.RemoteAddr = "192.0.2.9:5"
		if got := newRequests(trusted).source(r); got.String() != "192.0.2.9" {
			t.Fatalf("%q of an untrusted peer came from %s", header, got)
		}
	})
}
