package request_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/server/request"
)

func FuzzBasic(f *testing.F) {
	for _, seed := range []string{
		"Basic YWxpY2U6c2VjcmV0", "basic YWxpY2U6", "Basic", "Basic ", "Basic %%%", "Bearer a.b.c", "JWT  x ", "Basic Og==", "Basic //79", " Basic x",
		"Basic YWxp\r\nY2U6", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header["Authorization"] = []string{header}
		login, password, ok := request.Basic(r)
		if token, bearer := request.Bearer(r); bearer && (ok || token == "" || !strings.Contains(header, token)) {
			t.Fatalf("token %q, and Basic credentials: %t", token, ok)
		}
		if !ok {
			return
		}
		if strings.Contains(login, ":") || !utf8.ValidString(login) || !utf8.ValidString(password) {
			t.Fatalf("read %q and %q", login, password)
		}
		// Where the standard library accepts the credentials, it must read the same ones.
		if l, p, accepted := r.BasicAuth(); accepted && (l != login || p != password) {
			t.Fatalf("read %q and %q, the standard library %q and %q", login, password, l, p)
		}
	})
}

func FuzzMediaType(f *testing.F) {
	for _, seed := range []string{"application/json", "Application/JSON; charset=utf-8", ";;;=", "application/json; charset", "a/b; c=\"d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header["Content-Type"] = []string{header}
		got := request.MediaType(r)
		if got != strings.ToLower(got) || strings.ContainsAny(got, "; ") {
			t.Fatalf("%q from %q", got, header)
		}
		if request.IsJSON(r) && got != "" && got != "application/json" {
			t.Fatalf("%q counts as JSON", got)
		}
	})
}
