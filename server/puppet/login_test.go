package puppet_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestLoginIssuesAnOpaqueTokenBeginningWithZero(t *testing.T) {
	t.Parallel()
	s := newService(t)
	seen := map[string]bool{}
	for _, path := range []string{loginPath, "/auth/token", loginPath + "?token=garbage&certfile=x"} {
		text := issuedToken(t, s.Send(t, "POST", path, loginBody(t, "alice"), tokenHeader("garbage")))
		c := claims(t, s, text)
		if !strings.HasPrefix(text, "0") || strings.Contains(text, "alice") || c.Kind != token.KindOpaque || c.UID != servertest.UID("alice") || seen[text] {
			t.Errorf("%s returned %q: %+v", path, text, c)
		}
		seen[text] = true
		assertAlive(t, s, text)
	}
	if n := len(s.Directory.RecordsOf(servertest.UID("alice"))); n > 0 {
		t.Errorf("tokens without a label left %d records", n)
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const maximum = 10 * year
	for name, c := range map[string]struct {
		members []any
		want    time.Duration
	}{
		"none means an hour":                     {nil, time.Hour},
		"a bare number counts seconds":           {[]any{"lifetime", "7200"}, 2 * time.Hour},
		"seconds":                                {[]any{"lifetime", "90s"}, 90 * time.Second},
		"minutes":                                {[]any{"lifetime", "4m"}, 4 * time.Minute},
		"hours":                                  {[]any{"lifetime", "4h"}, 4 * time.Hour},
		"days":                                   {[]any{"lifetime", "2d"}, 48 * time.Hour},
		"years of 365 days":                      {[]any{"lifetime", "2y"}, 2 * year},
		"leading zeros are ignored":              {[]any{"lifetime", "0060"}, time.Minute},
		"zero means the maximum":                 {[]any{"lifetime", "0"}, maximum},
		"zero of any unit too":                   {[]any{"lifetime", "0h"}, maximum},
		"ten years are the maximum":              {[]any{"lifetime", "10y"}, maximum},
		"more is shortened to it":                {[]any{"lifetime", "11y"}, maximum},
		"more than fits a duration too":          {[]any{"lifetime", "300y"}, maximum},
		"more than fits an integer too":          {[]any{"lifetime", strings.Repeat("9", 400) + "y"}, maximum},
		"more seconds than fit an int64 as well": {[]any{"lifetime", "9223372036854775808"}, maximum},
	} {
		t.Run(name, func(t *testing.T) {
			got := claims(t, s, issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", c.members...))))
			if d := got.ExpiresAt.Sub(got.IssuedAt); d != c.want {
				t.Errorf("is valid for %s, want %s", d, c.want)
			}
		})
	}
}

func TestLifetimesOfUserTakePrecedence(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for lifetime, want := range map[string]time.Duration{"5m": 5 * time.Minute, "1h": 30 * time.Minute, "0": 30 * time.Minute, "10y": 30 * time.Minute} {
		c := claims(t, s, issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "brief", "lifetime", lifetime))))
		if d := c.ExpiresAt.Sub(c.IssuedAt); d != want {
			t.Errorf("%s is valid for %s, want %s", lifetime, d, want)
		}
	}
	c := claims(t, s, issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "brief"))))
	if d := c.ExpiresAt.Sub(c.IssuedAt); d != 10*time.Minute {
		t.Errorf("without a lifetime it is valid for %s", d)
	}
}

// badOrders returns fields that neither route that issues tokens accepts.
func badOrders() map[string][]any {
	return map[string][]any{
		"an empty lifetime":                {"lifetime", ""},
		"a lifetime below zero":            {"lifetime", "-1"},
		"a lifetime with a sign":           {"lifetime", "+1h"},
		"a lifetime with a fraction":       {"lifetime", "1.5h"},
		"a unit in upper case":             {"lifetime", "1H"},
		"an unknown unit":                  {"lifetime", "1w"},
		"two units":                        {"lifetime", "1h30m"},
		"a space before the unit":          {"lifetime", "1 h"},
		"a unit alone":                     {"lifetime", "h"},
		"a lifetime with a newline":        {"lifetime", "1h\n"},
		"digits of another script":         {"lifetime", "١h"},
		"a lifetime that is a number":      {"lifetime", 60},
		"a lifetime of null":               {"lifetime", nil},
		"an empty label":                   {"label", ""},
		"a label of white space":           {"label", " \t\u2003\u00a0"},
		"a label with a comma":             {"label", "one,two"},
		"a label with a newline within":    {"label", "one\ntwo"},
		"a label with a control character": {"label", "one\u0085two\u009f"},
		"a label of 201 characters":        {"label", strings.Repeat("x", 201)},
		"a label that is true":             {"label", true},
		"a label of null":                  {"label", nil},
		"a description of null":            {"description", nil},
		"a description that is a list":     {"description", []string{"x"}},
		"a client that is an object":       {"client", map[string]any{}},
		"an unknown key":                   {"ttl", 60},
		"a key in another case":            {"Lifetime", "1h"},
		"an unknown key of null":           {"x", nil},
		"a key with a space after it":      {"label ", "x"},
		"valid keys beside an unknown one": {"lifetime", "1h", "label", "x", "roles", []int{}},
		"a key of another route":           {"token", "x"},
	}
}

func TestInvalidFieldIsASchemaViolation(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, members := range badOrders() {
		t.Run(name, func(t *testing.T) {
			right := s.Send(t, "POST", loginPath, loginBody(t, "alice", members...))
			assertRefused(t, right, http.StatusBadRequest, "schema-violation")
			wrong := s.Send(t, "POST", loginPath, jsonObject(t, append([]any{"login", "nobody", "password", "wrong"}, members...)...))
			if right.String() != wrong.String() {
				t.Errorf("responses differ by credentials:\n%s\n%s", right, wrong)
			}
		})
	}
	if events := s.Events(); len(events) > 0 {
		t.Errorf("a malformed request was audited: %+v", events)
	}
}

func TestLoginAndPasswordMustBeStrings(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, body := range map[string]string{
		"no password":              `{"login":"s3cret"}`,
		"no login":                 `{"password":"s3cret"}`,
		"neither":                  `{}`,
		"a login of null":          `{"login":null,"password":"s3cret"}`,
		"a password of null":       `{"login":"alice","password":null}`,
		"a login that is a number": `{"login":5,"password":"s3cret"}`,
		"a password in a list":     `{"login":"alice","password":["s3cret"]}`,
		"a password as a number":   `{"login":"alice","password":1234}`,
		"a key in another case":    `{"Login":"alice","password":"s3cret"}`,
		"a list":                   `["alice","s3cret"]`,
		"a string":                 `"s3cret"`,
		"a number":                 `5`,
		"null":                     `null`,
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, "POST", loginPath, body)
			assertRefused(t, a, http.StatusBadRequest, "schema-violation")
			if strings.Contains(a.Body, "s3cret") || strings.Contains(a.Body, "1234") {
				t.Errorf("the response repeats the password:\n%s", a)
			}
		})
	}
}

func TestInvalidJSONIsMalformed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, body := range map[string]string{
		"an object that does not end": `{"login":"alice","password":"s3cret"`,
		"a form":                      `login=alice&password=s3cret`,
		"nothing":                     ``,
		"white space":                 " \n",
		"two values":                  `{"login":"alice","password":"s3cret"}{}`,
		"a key twice":                 `{"login":"bob","login":"alice","password":"s3cret"}`,
		"a key twice, one escaped":    `{"login":"bob","\u006cogin":"alice","password":"s3cret"}`,
		"33 levels":                   `{"login":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
		"invalid UTF-8":               "{\"login\":\"alice\",\"password\":\"s3cret\xff\"}",
		"a trailing comma":            `{"login":"alice","password":"s3cret",}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, "POST", loginPath, body, "Content-Type: application/json")
			assertRefused(t, a, http.StatusBadRequest, "malformed-request")
			if strings.Contains(a.Body, "s3cret") {
				t.Errorf("the response repeats the password:\n%s", a)
			}
		})
	}
}

func TestMediaTypeIsJSONOrAbsent(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for contentType, want := range map[string]int{
		"": 200, "application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200,
		"text/plain": 415, "application/x-www-form-urlencoded": 415, "text/json": 415, "application/json-patch+json": 415, "json;;;=": 415,
	} {
		var headers []string
		if contentType != "" {
			headers = []string{"Content-Type: " + contentType}
		}
		a := s.Send(t, "POST", loginPath, loginBody(t, "alice"), headers...)
		if a.Status != want {
			t.Errorf("%q: got\n%s", contentType, a)
		}
		if want == http.StatusUnsupportedMediaType {
			assertRefused(t, a, want, "unsupported-type")
		}
	}
}

// The one exception is a revoked user with the right password.
func TestRefusalsAreIdentical(t *testing.T) {
	t.Parallel()
	s := newService(t)
	want := s.Send(t, "POST", loginPath, jsonObject(t, "login", "nobody", "password", "wrong"))
	assertRefused(t, want, http.StatusUnauthorized, "user-unauthenticated")
	for name, c := range map[string][2]string{
		"a wrong password":                               {"alice", "wrong"},
		"an empty password":                              {"alice", ""},
		"an empty login":                                 {"", "right"},
		"a login in another case":                        {"Alice", "right"},
		"a wrong password of a revoked user":             {"revoked", "wrong"},
		"an expired account with the right password":     {"expired", "right"},
		"a locked account with the right password":       {"locked", "right"},
		"the right password that has expired":            {"stale", "right"},
		"a wrong password of a user with an expired one": {"stale", "wrong"},
		"a user without a password":                      {"passwordless", "right"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.Send(t, "POST", loginPath, jsonObject(t, "login", c[0], "password", c[1])); got.String() != want.String() {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
	assertRefused(t, s.Send(t, "POST", loginPath, loginBody(t, "revoked")), http.StatusUnauthorized, "user-revoked")
}

func TestGuessesLockTheAccount(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var wrong servertest.Answer
	for range 10 {
		wrong = s.Send(t, "POST", loginPath, jsonObject(t, "login", "alice", "password", "wrong"))
	}
	if a := s.Send(t, "POST", loginPath, loginBody(t, "alice")); a.String() != wrong.String() {
		t.Errorf("a locked account gets\n%s", a)
	}
}

func TestErrorsAreHTMLOnlyForClientsWithoutJSON(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for accept, html := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/html, application/json": false, "text/html;q=0.9, */*;q=0.1": false,
		"text/html, application/*": false, "text/plain": false, "nonsense;;": false, "text/html;q=0": false,
		"text/html": true, "text/*": true, "TEXT/HTML; charset=utf-8": true, "text/html, application/json;q=0": true, "text/html, application/xml": true,
	} {
		var headers []string
		if accept != "" {
			headers = []string{"Accept: " + accept}
		}
		a := s.Send(t, "POST", loginPath, jsonObject(t, "login", "alice", "password", "wrong"), headers...)
		if got := a.Header.Get("Content-Type") == "text/html; charset=utf-8"; a.Status != http.StatusUnauthorized || got != html {
			t.Errorf("Accept %q:\n%s", accept, a)
		}
		if json.Valid([]byte(a.Body)) == html {
			t.Errorf("Accept %q: the body is %s", accept, a.Body)
		}
	}
}
