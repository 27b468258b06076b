package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestEveryResponseHasSecureHeaders(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/users/authorize", "/nowhere", "/a//b", "/status/v1/simple", "/.well-known/jwks.json"} {
		for _, overTLS := range []bool{false, true} {
			ts := httptest.NewUnstartedServer(nil)
			ts.Config = NewHTTP(http.NotFoundHandler())
			want := ""
			if overTLS {
				ts.StartTLS()
				want = "max-age=31536000"
			} else {
				ts.Start()
			}
			response, err := ts.Client().Get(ts.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			ts.Close()
			if h := response.Header; h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Strict-Transport-Security") != want {
				t.Errorf("%s: got %v", path, h)
			}
		}
	}
}

func TestLongHeadersAreCut(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("a", maximumParsedHeader/2+1)
	for name, c := range map[string]struct {
		values []string
		want   int
	}{
		"short":      {[]string{"text/html", "*/*"}, 12},
		"one":        {[]string{strings.Repeat("a", 20_000)}, maximumParsedHeader},
		"many":       {[]string{half, half, half}, maximumParsedHeader},
		"no header":  {nil, 0},
		"just right": {[]string{strings.Repeat("a", maximumParsedHeader)}, maximumParsedHeader},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if c.values != nil {
			r.Header["Accept"] = c.values
		}
		var got int
		secure(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = len(strings.Join(r.Header.Values("Accept"), ""))
		})).ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("%s: got %d bytes, want %d", name, got, c.want)
		}
	}
}

func TestLongForwardedForIsReadFromItsEnd(t *testing.T) {
	t.Parallel()
	q := newRequests([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for end, want := range map[string]string{
		", 192.0.2.1":           "192.0.2.1",
		", 192.0.2.1, 10.0.0.2": "192.0.2.1",
		",10.0.0.3":             "10.0.0.3",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "10.1.1.1:5"
		r.Header.Set("X-Forwarded-For", strings.Repeat("203.0.113.9,", 2000)+strings.Repeat("10.0.0.3,", 120)+"10.0.0.3"+end)
		if got := q.source(r).String(); got != want {
			t.Errorf("%q: got %s, want %s", end, got, want)
		}
	}
}
