package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// errorFormats returns, for each error format, a function that reports whether a body is an error
// in that format, with the given code if the format has codes.
func errorFormats() map[string]func(body map[string]any, code string) bool {
	return map[string]func(map[string]any, string) bool{
		"redis": func(body map[string]any, code string) bool {
			return body["error_code"] == code && body["message"] != "" && body["message"] == body["description"] && len(body) == 3
		},
		"puppet": func(body map[string]any, code string) bool {
			return body["kind"] == "puppetlabs.rbac/"+strings.ReplaceAll(code, "_", "-") && body["msg"] != "" && len(body) == 2
		},
		"other": func(body map[string]any, _ string) bool {
			text, _ := body["error"].(string)
			return text != ""
		},
	}
}

// assertError checks that a response is an error in this format.
func assertError(t *testing.T, a servertest.Answer, status int, format, code string) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || a.Status != status || !errorFormats()[format](body, code) {
		t.Errorf("want %d %s in the format %s, got\n%s", status, code, format, a)
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Location") != "" || a.Header.Get("X-Request-Id") == "" {
		t.Errorf("wrong headers for an error:\n%s", a)
	}
}

func TestUnknownPathIsNotFoundInFormatOfItsAPI(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for path, format := range map[string]string{
		"/v1/nothing": "redis", "/v1": "redis", "/v1/": "redis", "/v1/users/authorize/": "redis", "/V1/users/authorize": "other",
		"/v1//users/authorize": "redis", "/v1/./users/authorize": "redis", "/v1/x/../users/authorize": "redis", "//v1/users/authorize": "redis",
		"/v1/users%2Fauthorize": "redis", "/v1/%2e%2e/v1/users/authorize": "redis", "/v1/users/authorize%2F": "redis", "/v1/users/authorize;x=1": "redis",
		"/rbac-api": "puppet", "/rbac-api/": "puppet", "/rbac-api/v1/auth": "puppet", "/rbac-api/v2/auth/token": "puppet", "/rbac-api/v2/tokens/": "puppet",
		"/rbac-api/v1/users//tokens": "puppet", "/rbac-api/v2/tokens/a%2F..%2Fb": "puppet", "/rbac-api/v2/tokens/a/b": "puppet",
		"/auth": "puppet", "/auth/": "puppet", "/auth/nothing": "puppet", "/auth/verify/../token": "puppet", "/status": "puppet", "/status/v1/nothing": "puppet",
		"/oauth2": "other", "/oauth2/nothing": "other", "/oauth2//token": "other", "/.well-known": "other", "/.well-known/nothing": "other",
		"/apis": "other", "/apis/authentication.k8s.io/v1": "other", "/apis/authentication.k8s.io/v1beta1/tokenreviews": "other",
		"/": "other", "//": "other", "/nothing": "other", "/..": "other", "/../v1/users/authorize": "other", "/.": "other", "/v2/users/authorize": "other", "/metrics": "other",
	} {
		t.Run(path, func(t *testing.T) {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				assertError(t, s.Send(t, method, path, ""), http.StatusNotFound, format, "not_found")
			}
		})
	}
}

func TestEmptyPathIsNotFound(t *testing.T) {
	t.Parallel()
	h := newService(t).Handler
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.URL.Path = "" // as in GET https://gatehouse.test HTTP/1.1
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// allowedMethods maps the path of every route that does not accept all methods to its Allow header
// and its error format.
func allowedMethods() map[string][2]string {
	return map[string][2]string{
		"/v1/users/authorize": {"POST", "redis"}, "/v1/users/refresh_jwt": {"POST", "redis"},
		"/rbac-api/v1/auth/token": {"POST", "puppet"}, "/auth/token": {"POST", "puppet"}, "/rbac-api/v1/tokens": {"POST", "puppet"},
		"/rbac-api/v1/users/current": {"GET, HEAD", "puppet"}, "/rbac-api/v1/users/x/tokens": {"GET, HEAD", "puppet"},
		"/rbac-api/v2/tokens": {"DELETE", "puppet"}, "/rbac-api/v2/tokens/x": {"DELETE", "puppet"}, "/rbac-api/v2/auth/token/authenticate": {"POST", "puppet"},
		"/status/v1/simple": {"GET, HEAD", "puppet"}, "/status/v1/services": {"GET, HEAD", "puppet"}, "/status/v1/services/rbac-service": {"GET, HEAD", "puppet"},
		"/.well-known/openid-configuration": {"GET, HEAD", "other"}, "/.well-known/oauth-authorization-server": {"GET, HEAD", "other"},
		"/.well-known/jwks.json": {"GET, HEAD", "other"}, "/oauth2/token": {"POST", "other"}, "/oauth2/introspect": {"POST", "other"}, "/oauth2/revoke": {"POST", "other"},
		reviews: {"POST", "other"},
	}
}

func TestMethodNotAllowedNamesTheAllowedOnes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for path, c := range allowedMethods() {
		t.Run(path, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post"} {
				if strings.Contains(", "+c[0]+", ", ", "+method+", ") {
					continue
				}
				a := s.Send(t, method, path+"?_method=POST", "", "X-HTTP-Method-Override: POST", "X-HTTP-Method: POST")
				if a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != c[0] {
					t.Errorf("%s: got\n%s", method, a)
				}
				if method == http.MethodHead {
					if a.Body != "" {
						t.Errorf("HEAD has the body %q", a.Body)
					}
					continue
				}
				assertError(t, a, http.StatusMethodNotAllowed, c[1], "method_not_allowed")
			}
		})
	}
}

func TestHeadEqualsGetWithoutBody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	credential := "X-Authentication: " + issue(t, s, "alice", opaque)
	for path, c := range allowedMethods() {
		if c[0] != "GET, HEAD" {
			continue
		}
		path = strings.ReplaceAll(path, "/x/", "/"+servertest.UID("alice")+"/")
		get, head := s.Send(t, "GET", path, "", credential), s.Send(t, "HEAD", path, "", credential)
		if get.Status != http.StatusOK || head.Body != "" || head.Header.Get("Content-Length") != fmt.Sprint(len(get.Body)) {
			t.Errorf("%s: got\n%s\nand\n%s", path, get, head)
		}
		head.Body = get.Body
		if head.String() != get.String() {
			t.Errorf("%s: HEAD returns\n%s\nand GET\n%s", path, head, get)
		}
	}
}

func TestBodyOver64KiBIsTooLarge(t *testing.T) {
	t.Parallel()
	s := newService(t)
	puppetHeader, bearer := "X-Authentication: "+issue(t, s, "alice", opaque), "Authorization: Bearer "+issue(t, s, "alice", jwt)
	large := strings.Repeat(" ", 64<<10+1)
	for name, c := range map[string]struct {
		method, path, header string
		format               string
	}{
		"authorize":    {"POST", "/v1/users/authorize", basic("alice", "right"), "redis"},
		"refresh_jwt":  {"POST", "/v1/users/refresh_jwt", bearer, "redis"},
		"auth/token":   {"POST", "/rbac-api/v1/auth/token", puppetHeader, "puppet"},
		"generate":     {"POST", "/rbac-api/v1/tokens", puppetHeader, "puppet"},
		"authenticate": {"POST", "/rbac-api/v2/auth/token/authenticate", puppetHeader, "puppet"},
		"revoke":       {"DELETE", "/rbac-api/v2/tokens", puppetHeader, "puppet"},
		"revoke one":   {"DELETE", "/rbac-api/v2/tokens/x", puppetHeader, "puppet"},
		"OAuth token":  {"POST", "/oauth2/token", basic("alice", "right"), "other"},
		"introspect":   {"POST", "/oauth2/introspect", bearer, "other"},
		"OAuth revoke": {"POST", "/oauth2/revoke", bearer, "other"},
		"TokenReview":  {"POST", reviews, bearer, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{c.header}
			if strings.HasPrefix(c.path, "/oauth2/") {
				headers = append(headers, formType)
			}
			assertError(t, s.Send(t, c.method, c.path, large, headers...), http.StatusRequestEntityTooLarge, c.format, "request_too_large")
			if got := sendChunked(t, s, c.method, c.path, large, headers...); got != http.StatusRequestEntityTooLarge {
				t.Errorf("without Content-Length: %d", got)
			}
			if a := s.Send(t, c.method, c.path, large[1:], headers...); a.Status == http.StatusRequestEntityTooLarge {
				t.Errorf("64 KiB is too large:\n%s", a)
			}
		})
	}
}

// sendChunked sends a body without announcing its length, and returns the status.
func sendChunked(t *testing.T, s *servertest.Service, method, path, body string, headers ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, io.MultiReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	response, err := s.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	password, bearer := basic("alice", "right"), "Authorization: Bearer "+issue(t, s, "alice", jwt)
	for path, body := range map[string]string{
		"/v1/users/authorize": "", "/v1/users/refresh_jwt": "", "/auth/verify": "", "/auth/verify/below": "",
		"/oauth2/token": "grant_type=client_credentials", "/oauth2/introspect": "token=x", "/oauth2/revoke": "token=x",
	} {
		for _, first := range []string{password, bearer, "Authorization: "} {
			for _, second := range []string{password, bearer, "Authorization: "} {
				headers := []string{first, second}
				if body != "" {
					headers = append(headers, formType)
				}
				if a := s.Send(t, "POST", path, body, headers...); a.Status != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s with %q:\n%s", path, headers, a)
				}
			}
		}
	}
}

func TestHeadersOver32KiBAreRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for size, want := range map[int]int{24 << 10: 200, 48 << 10: 431, 2 << 20: 431} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/status/v1/simple", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Filler", strings.Repeat("a", size))
		response, err := s.Client.Do(r)
		if err != nil && want == http.StatusRequestHeaderFieldsTooLarge {
			continue // the connection was closed while the client was still writing
		}
		if err != nil {
			t.Fatal(err)
		}
		if response.Body.Close(); response.StatusCode != want {
			t.Errorf("%d bytes: %d", size, response.StatusCode)
		}
	}
	if a := s.Send(t, "GET", "/status/v1/simple", ""); a.Body != "running" {
		t.Errorf("got\n%s", a)
	}
}

func TestRequestsAreCountedByAPIRouteAndStatus(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Send(t, "POST", "/v1/users/authorize", "", basic("alice", "right"))
	s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID("alice")+"/tokens", "")
	s.Send(t, "GET", "/rbac-api/v1/nothing", "")
	s.Send(t, "GET", "/auth/verify/any/path", "")
	s.Send(t, "GET", "/..", "")
	families, err := s.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetValue() + " "
			}
			got[family.GetName()+" "+labels] = m.GetHistogram().GetSampleCount() + uint64(m.GetCounter().GetValue())
		}
	}
	for _, want := range []string{
		"gatehouse_request_duration_seconds redis 200 /v1/users/authorize ",
		"gatehouse_request_duration_seconds puppet 401 /rbac-api/v1/users/{id}/tokens ",
		"gatehouse_request_duration_seconds puppet 404 unknown ",
		"gatehouse_request_duration_seconds forwardauth 401 /auth/verify/ ",
		"gatehouse_request_duration_seconds none 404 unknown ",
		"gatehouse_auth_events_total redis login allowed  ",
		"gatehouse_auth_events_total redis issue allowed  ",
	} {
		if got[want] != 1 {
			t.Errorf("%s: %d of %v", want, got[want], got)
		}
	}
}
