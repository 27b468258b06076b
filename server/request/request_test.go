package request_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gatehouse-auth/gatehouse/server/request"
)

func TestBodyIsReadUpToTheLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size int
		want error
	}{
		"nothing":           {0, nil},
		"something":         {60, nil},
		"exactly the limit": {request.MaximumBody, nil},
		"one byte more":     {request.MaximumBody + 1, request.ErrTooLarge},
		"very much more":    {request.MaximumBody * 20, request.ErrTooLarge},
	} {
		for _, announced := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("a", c.size)))
				if !announced {
					r.ContentLength = -1
				}
				body, err := request.Body(r)
				if !errors.Is(err, c.want) || (err == nil && len(body) != c.size) {
					t.Errorf("announced %t: %d bytes, %v", announced, len(body), err)
				}
			})
		}
	}
}

func TestBodyAnnouncedAsTooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(errors.New("was read")))
	r.ContentLength = request.MaximumBody + 1
	if _, err := request.Body(r); !errors.Is(err, request.ErrTooLarge) {
		t.Error(err)
	}
}

func TestTruncatedBodyIsAnError(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	r.ContentLength = 10
	if body, err := request.Body(r); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, request.ErrTooLarge) || body != nil {
		t.Errorf("%q, %v", body, err)
	}
}

func TestMediaTypeHasNoParameters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header, want string
		json         bool
	}{
		"no Content-Type":                 {"", "", true},
		"JSON":                            {"application/json", "application/json", true},
		"JSON in another case":            {"Application/JSON", "application/json", true},
		"JSON with a charset":             {"application/json;charset=utf-8", "application/json", true},
		"JSON with white space":           {" application/json ; charset=utf-8", "application/json", true},
		"JSON with a parameter cut short": {"application/json; charset", "application/json", true},
		"JSON with a subtype":             {"application/problem+json", "application/problem+json", false},
		"a list of two":                   {"application/json, text/plain", "?", false},
		"a form":                          {"application/x-www-form-urlencoded", "application/x-www-form-urlencoded", false},
		"an invalid media type":           {";;;=", "?", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			if c.header != "" {
				r.Header.Set("Content-Type", c.header)
			}
			if got := request.MediaType(r); got != c.want || request.IsJSON(r) != c.json {
				t.Errorf("%q, JSON %t; want %q, %t", got, request.IsJSON(r), c.want, c.json)
			}
		})
	}
}

func TestBasicReadsTheOnlyAuthorizationHeader(t *testing.T) {
	t.Parallel()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct {
		headers         []string
		login, password string
		ok              bool
	}{
		"login and password":      {[]string{"Basic " + encode("alice:secret")}, "alice", "secret", true},
		"a scheme in lower case":  {[]string{"basic " + encode("alice:secret")}, "alice", "secret", true},
		"more than one space":     {[]string{"Basic   " + encode("alice:secret") + " "}, "alice", "secret", true},
		"colons in the password":  {[]string{"Basic " + encode("alice:a:b:")}, "alice", "a:b:", true},
		"UTF-8":                   {[]string{"Basic " + encode("ünï:☃")}, "ünï", "☃", true},
		"an empty password":       {[]string{"Basic " + encode("alice:")}, "alice", "", true},
		"an empty login":          {[]string{"Basic " + encode(":secret")}, "", "secret", true},
		"no header":               {nil, "", "", false},
		"two headers alike":       {[]string{"Basic " + encode("alice:secret"), "Basic " + encode("alice:secret")}, "", "", false},
		"two headers that differ": {[]string{"Bearer x", "Basic " + encode("alice:secret")}, "", "", false},
		"an empty header":         {[]string{""}, "", "", false},
		"the scheme alone":        {[]string{"Basic"}, "", "", false},
		"the scheme and a space":  {[]string{"Basic "}, "", "", false},
		"no scheme":               {[]string{encode("alice:secret")}, "", "", false},
		"another scheme":          {[]string{"Bearer " + encode("alice:secret")}, "", "", false},
		"not base64":              {[]string{"Basic %%%"}, "", "", false},
		"base64 for URLs":         {[]string{"Basic " + base64.URLEncoding.EncodeToString([]byte("alice:??>>~~"))}, "", "", false},
		"base64 without its end":  {[]string{"Basic YWxpY2U6c2VjcmV0cw"}, "", "", false},
		"no colon":                {[]string{"Basic " + encode("alice")}, "", "", false},
		"invalid UTF-8":           {[]string{"Basic " + encode("alice:\xff")}, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header["Authorization"] = c.headers
			login, password, ok := request.Basic(r)
			if ok != c.ok || (ok && (login != c.login || password != c.password)) {
				t.Errorf("%q, %q, %t", login, password, ok)
			}
		})
	}
}

func TestBearerReadsTheOnlyAuthorizationHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers []string
		want    string
		ok      bool
	}{
		"Bearer":      {[]string{"Bearer a.b.c"}, "a.b.c", true},
		"JWT":         {[]string{"JWT a.b.c"}, "a.b.c", true},
		"in any case": {[]string{"bEARER a.b.c"}, "a.b.c", true},
		"no header":   {nil, "", false},
		"no token":    {[]string{"Bearer"}, "", false},
		"only spaces": {[]string{"Bearer   "}, "", false},
		"Basic":       {[]string{"Basic a.b.c"}, "", false},
		"two headers": {[]string{"Bearer a.b.c", "Bearer a.b.c"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header["Authorization"] = c.headers
			if got, ok := request.Bearer(r); ok != c.ok || (ok && got != c.want) {
				t.Errorf("%q, %t", got, ok)
			}
		})
	}
}
