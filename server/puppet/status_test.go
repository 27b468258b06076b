package puppet_test

import (
	"fmt"
	"net/http"
	"testing"
)

func TestStatusRoutes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for path, want := range map[string]int{
		"/status/v1/simple/rbac-service": 200, "/status/v1/simple/x": 404, "/status/v1/services/x": 404, "/status/v1/services/rbac-service": 200,
		"/status/v1/services?level=debug&timeout=5": 200, "/status/v1/services?level=info": 200, "/status/v1/services?level=critical": 200,
		"/status/v1/services?level=": 400, "/status/v1/services?level=Info": 400, "/status/v1/services?timeout=0": 400, "/status/v1/services?timeout=x": 400,
		"/status/v1/services/rbac-service?level=x": 400, "/status/v1": 404, "/status": 404, "/status/v1/simple/": 404,
	} {
		a := s.Send(t, "GET", path, "")
		if a.Status != want {
			t.Errorf("%s:\n%s", path, a)
		}
		if head := s.Send(t, "HEAD", path, ""); head.Status != want || head.Body != "" || head.Header.Get("Content-Length") != fmt.Sprint(len(a.Body)) {
			t.Errorf("HEAD %s:\n%s", path, head)
		}
	}
	if a := s.Send(t, "POST", "/status/v1/simple", ""); a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("got\n%s", a)
	} else {
		assertRefused(t, a, http.StatusMethodNotAllowed, "method-not-allowed")
	}
	for _, level := range []string{"critical", "debug", "info"} {
		body := decode(t, s.Send(t, "GET", "/status/v1/services/rbac-service?level="+level, ""))
		if body["detail_level"] != level || body["service_name"] != "rbac-service" || body["state"] != "running" || body["service_version"] != "1.2.3" {
			t.Errorf("%s: %v", level, body)
		}
	}
}
