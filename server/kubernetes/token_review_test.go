package kubernetes_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const (
	ada     = "3f0b7a52-6a61-4b50-8f43-6d5f1f6f0a01"
	reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
	v1      = "authentication.k8s.io/v1"
	v1beta1 = "authentication.k8s.io/v1beta1"
	denied  = `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":false}}`
)

func TestReviewNamesTheUserInRequestedVersion(t *testing.T) {
	t.Parallel()
	s := newService(t)
	jwt, opaque := tokens(t, s, put(t, s, directory.User{Groups: []string{"operators", "developers"}}))
	for name, token := range map[string]string{"a JWT": jwt, "an opaque token": opaque} {
		for _, version := range []string{v1, v1beta1} {
			t.Run(name+" in "+version, func(t *testing.T) {
				a := ask(t, s, body(t, version, token))
				want(t, a, http.StatusOK, `{"apiVersion":"`+version+`","kind":"TokenReview","status":{"authenticated":true,`+
					`"user":{"username":"ada@example.com","uid":"`+ada+`","groups":["operators","developers"]},`+
					`"audiences":["https://gatehouse.test"]}}`)
				if got := a.Header.Get("Content-Type"); got != "application/json" {
					t.Errorf("Content-Type is %q", got)
				}
			})
		}
	}
}

func TestReviewOmitsReservedGroups(t *testing.T) {
	t.Parallel()
	s := newService(t)
	jwt, _ := tokens(t, s, put(t, s, directory.User{Groups: []string{"system:masters", "systems", "system:nodes"}}))
	a := ask(t, s, body(t, v1, jwt))
	if !strings.Contains(a.Body, `"groups":["systems"]`) {
		t.Errorf("got %s", a.Body)
	}
}

func TestReviewHonoursAudiences(t *testing.T) {
	t.Parallel()
	s := newService(t)
	jwt, opaque := tokens(t, s, put(t, s, directory.User{}))
	for name, test := range map[string]struct {
		requested []string
		granted   string
	}{
		"the token's own":              {[]string{servertest.Issuer}, `["https://gatehouse.test"]`},
		"the token's own among others": {[]string{"https://a.test", servertest.Issuer, "https://b.test"}, `["https://gatehouse.test"]`},
		"that of another service":      {[]string{"https://a.test"}, ""},
		"one with the same prefix":     {[]string{servertest.Issuer + "/"}, ""},
		"an empty one":                 {[]string{""}, ""},
		"none, so the default applies": {[]string{}, `["https://gatehouse.test"]`},
	} {
		for kind, token := range map[string]string{"JWT": jwt, "opaque": opaque} {
			t.Run(name+", "+kind, func(t *testing.T) {
				a := ask(t, s, body(t, v1, token, test.requested...))
				if test.granted == "" {
					want(t, a, http.StatusOK, denied)
					return
				}
				if !strings.Contains(a.Body, `"authenticated":true`) || !strings.Contains(a.Body, `"audiences":`+test.granted) {
					t.Errorf("got %s", a.Body)
				}
			})
		}
	}
}

func TestInvalidTokenIsNotAnError(t *testing.T) {
	t.Parallel()
	s := newService(t)
	jwt, opaque := tokens(t, s, put(t, s, directory.User{}))
	for name, token := range map[string]string{
		"garbage":                    "garbage",
		"a JWT that was changed":     jwt[:len(jwt)-4] + "AAAA",
		"half an opaque token":       opaque[:40],
		"longer than any token":      strings.Repeat("a", 20<<10),
		"a JWT of another issuer":    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.",
		"white space before a token": " " + opaque,
	} {
		t.Run(name, func(t *testing.T) { want(t, ask(t, s, body(t, v1, token)), http.StatusOK, denied) })
	}
	for name, end := range map[string]func(){
		"of a user who is revoked":  func() { put(t, s, directory.User{Revoked: true}) },
		"of a user who has expired": func() { put(t, s, directory.User{ExpiresAt: s.Now()}) },
		"issued too early":          func() { put(t, s, directory.User{TokensValidAfter: s.Now()}) },
		"of a user created again":   func() { put(t, s, directory.User{UID: strings.Replace(ada, "3", "4", 1)}) },
		"of a user who is gone":     func() { s.Directory.Delete("users/ada") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() { put(t, s, directory.User{}) }()
			end()
			want(t, ask(t, s, body(t, v1, jwt)), http.StatusOK, denied)
			want(t, ask(t, s, body(t, v1, opaque)), http.StatusOK, denied)
		})
	}
	s.Advance(24 * time.Hour)
	want(t, ask(t, s, body(t, v1, jwt)), http.StatusOK, denied)
}

func TestInvalidReviewIsABadRequest(t *testing.T) {
	t.Parallel()
	s := newService(t)
	review := func(spec string) string {
		return `{"apiVersion":"` + v1 + `","kind":"TokenReview","spec":` + spec + `}`
	}
	for name, text := range map[string]string{
		"nothing":                      "",
		"not JSON":                     `{"kind":`,
		"two values":                   review(`{"token":"a"}`) + `{}`,
		"a key twice":                  `{"kind":"TokenReview","apiVersion":"` + v1 + `","spec":{"token":"a"},"spec":{"token":"b"}}`,
		"a list":                       `[]`,
		"null":                         `null`,
		"an empty object":              `{}`,
		"another kind":                 `{"apiVersion":"v1","kind":"Pod","spec":{"token":"a"}}`,
		"another version":              `{"apiVersion":"authentication.k8s.io/v2","kind":"TokenReview","spec":{"token":"a"}}`,
		"keys in capitals":             `{"APIVersion":"` + v1 + `","Kind":"TokenReview","Spec":{"token":"a"}}`,
		"no spec":                      `{"apiVersion":"` + v1 + `","kind":"TokenReview"}`,
		"a spec that is null":          review(`null`),
		"a spec that is a text":        review(`"a"`),
		"no token":                     review(`{}`),
		"an empty token":               review(`{"token":""}`),
		"a token that is a number":     review(`{"token":1}`),
		"audiences that are a text":    review(`{"token":"a","audiences":"b"}`),
		"an audience that is a number": review(`{"token":"a","audiences":[1]}`),
		"an audience that is null":     review(`{"token":"a","audiences":[null]}`),
	} {
		t.Run(name, func(t *testing.T) {
			if a := ask(t, s, text); a.Status != http.StatusBadRequest || !strings.HasPrefix(a.Body, `{"error":"`) {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		})
	}
}

func TestReviewIgnoresUnknownFields(t *testing.T) {
	t.Parallel()
	s := newService(t)
	jwt, _ := tokens(t, s, put(t, s, directory.User{}))
	a := ask(t, s, `{"kind":"TokenReview","apiVersion":"`+v1+`","metadata":{"creationTimestamp":null},"spec":{"token":"`+jwt+
		`","audiences":null,"new":1},"status":{"user":{}}}`)
	if !strings.Contains(a.Body, `"authenticated":true`) {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}

func TestErrorsAreJSON(t *testing.T) {
	t.Parallel()
	s := newService(t)
	good := body(t, v1, "a")
	for name, test := range map[string]struct {
		method, path, contentType, body string
		status                          int
	}{
		"a body over 64 KiB":      {http.MethodPost, reviews, "application/json", body(t, v1, strings.Repeat("a", 64<<10)), http.StatusRequestEntityTooLarge},
		"a body that is not JSON": {http.MethodPost, reviews, "text/plain", good, http.StatusBadRequest},
		"another method":          {http.MethodGet, reviews, "", "", http.StatusMethodNotAllowed},
		"an unknown path":         {http.MethodPost, "/apis/authentication.k8s.io/v1beta1/tokenreviews", "application/json", good, http.StatusNotFound},
		"another API":             {http.MethodGet, "/apis/apps/v1", "", "", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, test.method, test.path, test.body, "Content-Type: "+test.contentType)
			if a.Status != test.status || !strings.HasPrefix(a.Body, `{"error":"`) {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			if got := a.Header.Get("Allow"); (a.Status == http.StatusMethodNotAllowed) != (got == http.MethodPost) {
				t.Errorf("Allow is %q", got)
			}
		})
	}
	t.Run("a query does not matter", func(t *testing.T) {
		want(t, s.Send(t, http.MethodPost, reviews+"?timeout=30s", good, "Content-Type: application/json; charset=utf-8"), http.StatusOK, denied)
	})
}

func TestReviewIsUnavailableWithoutDirectory(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Tokens.Directory = directory.New()
	a := ask(t, s, body(t, v1, "a"))
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "2" {
		t.Errorf("got %d, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
	}
}

func newService(t *testing.T) *servertest.Service {
	t.Helper()
	return servertest.New(t, servertest.Options{})
}

func ask(t *testing.T, s *servertest.Service, body string) servertest.Answer {
	t.Helper()
	return s.Send(t, http.MethodPost, reviews, body, "Content-Type: application/json")
}

func want(t *testing.T, a servertest.Answer, status int, body string) {
	t.Helper()
	if a.Status != status || a.Body != body {
		t.Errorf("got  %d %s\nwant %d %s", a.Status, a.Body, status, body)
	}
}

func body(t *testing.T, version, token string, audiences ...string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"apiVersion": version, "kind": "TokenReview", "spec": map[string]any{"token": token, "audiences": audiences},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// put adds or replaces the user ada.
func put(t *testing.T, s *servertest.Service, u directory.User) *directory.User {
	t.Helper()
	u.Key, u.Login = "users/ada", "ada@example.com"
	if u.UID == "" {
		u.UID = ada
	}
	return s.Put(t, u)
}

func tokens(t *testing.T, s *servertest.Service, u *directory.User) (jwt, opaque string) {
	t.Helper()
	jwt, _, err := s.Grants.JWT(t.Context(), u, 0)
	if err != nil {
		t.Fatal(err)
	}
	opaque, err = s.Grants.Opaque(t.Context(), u, grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	return jwt, opaque
}
