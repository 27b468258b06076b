package openapi_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// TestServiceGivesExactlyTheDocumentedAnswers provokes every answer that the file has: each status,
// media type and code of each operation. Each answer must be one of them, with a body and headers that
// fit the schemas.
func TestServiceGivesExactlyTheDocumentedAnswers(t *testing.T) {
	t.Parallel()
	a, w := &answers{document: load(t), seen: map[answer]bool{}}, newWorld(t)
	for _, calls := range [][]call{
		redisCalls(w), loginCalls(w), generateCalls(w), readCalls(w), examinationCalls(w), revocationCalls(w),
		statusCalls(w), oauthCalls(w), submissionCalls(w), proxyCalls(w),
	} {
		for _, c := range calls {
			t.Run(c.operation+" "+strconv.Itoa(c.status), func(t *testing.T) { c.ask(t, a) })
		}
	}
	documented := a.documented(false)
	for _, want := range documented {
		if !a.seen[want] {
			t.Errorf("no request gets the documented answer %+v", want)
		}
	}
	if len(documented) < 190 {
		t.Errorf("the file has only %d answers", len(documented))
	}
}

// TestFileHasTheRoutesOfTheService compares the routes that the server mounts with those of the file.
func TestFileHasTheRoutesOfTheService(t *testing.T) {
	t.Parallel()
	served := map[string]bool{}
	s := servertest.New(t, servertest.Options{})
	for _, a := range s.APIs {
		for _, route := range a.Routes {
			for method := range route.Methods {
				served[method+" "+route.Path] = true
			}
		}
	}
	documented := map[string]bool{}
	d := load(t)
	d.operations(false, func(method, path string, _ node) {
		item := d.root.get("paths", path)
		if item.get("x-any-method").value == true {
			method = "*"
		}
		if item.get("x-subtree").value == true {
			path = path[:strings.LastIndex(path, "/")+1]
		}
		documented[method+" "+path] = true
	})
	if !maps.Equal(served, documented) {
		t.Errorf("the service has\n%q\nand the file has\n%q", slices.Sorted(maps.Keys(served)), slices.Sorted(maps.Keys(documented)))
	}
}

// TestUnknownPathsGetTheAnswerOfTheirAPI asks below each prefix of the service for a path that no route
// has.
func TestUnknownPathsGetTheAnswerOfTheirAPI(t *testing.T) {
	t.Parallel()
	a, s := &answers{document: load(t)}, servertest.New(t, servertest.Options{})
	prefixes := a.root.get("x-prefixes")
	served := []string{"/"}
	for _, mounted := range s.APIs {
		served = append(served, mounted.Prefixes...)
	}
	slices.Sort(served)
	if !slices.Equal(served, prefixes.keys()) {
		t.Errorf("the service has the prefixes %q, and the file has %q", served, prefixes.keys())
	}
	for _, prefix := range prefixes.keys() {
		got := s.Send(t, http.MethodGet, prefix+"no-such-path", "")
		if got.Status != http.StatusNotFound {
			t.Errorf("%s: %s", prefix, got)
		}
		a.checkResponse(t, prefixes.get(prefix), got)
	}
}

// TestOtherMethodsGetTheAnswerOfTheirAPI sends each path a method that the file does not have.
func TestOtherMethodsGetTheAnswerOfTheirAPI(t *testing.T) {
	t.Parallel()
	a, s := &answers{document: load(t)}, servertest.New(t, servertest.Options{})
	for _, mounted := range s.APIs {
		for _, route := range mounted.Routes {
			if route.Methods["*"] == nil {
				requireNotAllowed(t, a, s, route)
			}
		}
	}
}

func requireNotAllowed(t *testing.T, a *answers, s *servertest.Service, route api.Route) {
	t.Helper()
	response := a.root.get("paths", route.Path, "x-method-not-allowed")
	for _, headers := range [][]string{nil, {"Accept: text/html"}} {
		got := s.Send(t, http.MethodPatch, route.Path, "", headers...)
		if got.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", route.Path, got)
		}
		a.checkResponse(t, response, got)
	}
}

// TestProxiesMayUseAnyMethod asks the routes of which the file says so with every method.
func TestProxiesMayUseAnyMethod(t *testing.T) {
	t.Parallel()
	a, s := &answers{document: load(t), seen: map[answer]bool{}}, servertest.New(t, servertest.Options{})
	for _, path := range []string{"/auth/verify", "/auth/verify/{path}"} {
		if a.root.get("paths", path, "x-any-method").value != true {
			t.Errorf("the file does not say that %s takes any method", path)
		}
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
			a.check(t, http.MethodGet, path, s.Send(t, method, strings.ReplaceAll(path, "{path}", "orders"), ""))
		}
	}
}
