package redis_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

var update = flag.Bool("update", false, "write the golden files")

const authorizePath = "/v1/users/authorize"

// newService starts a service with users in every state that the API distinguishes, or must not.
func newService(t testing.TB) *servertest.Service {
	s := servertest.New(t, servertest.Options{LockAfter: 10, PasswordCacheTTL: time.Minute})
	past := s.Now().Add(-time.Hour)
	s.Put(t, directory.User{Login: "alice", DisplayName: "Alice", Email: "alice@example.com", Groups: []string{"operators"}}, "a:b c")
	s.Put(t, directory.User{Login: "revoked", Revoked: true}, "right")
	s.Put(t, directory.User{Login: "expired", ExpiresAt: past}, "right")
	s.Put(t, directory.User{Login: "locked", LockedUntil: s.Now().Add(time.Hour)}, "right")
	s.Put(t, directory.User{Login: "brief", MaximumLifetime: time.Minute, DefaultLifetime: time.Second}, "right")
	s.Put(t, directory.User{Login: "passwordless"})
	s.Put(t, directory.User{Login: "stale", Credentials: &directory.Credentials{Passwords: []directory.Password{
		{Hash: servertest.Hash(t, "old"), ExpiresAt: past},
	}}})
	s.Put(t, directory.User{Login: "rotating", Credentials: &directory.Credentials{Passwords: []directory.Password{
		{Hash: servertest.Hash(t, "old"), ExpiresAt: past}, {Hash: servertest.Hash(t, "new")},
	}}})
	return s
}

func basic(login, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
}

// claims returns the verified claims of the token in a successful response, which must have no
// other member.
func claims(t *testing.T, s *servertest.Service, a servertest.Answer) token.Claims {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(a.Body), &body); a.Status != http.StatusOK || err != nil || len(body) != 1 {
		t.Fatalf("want 200 with access_token alone, got\n%s", a)
	}
	c, err := s.Tokens.Verifier.Verify(body["access_token"], s.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// errorCode returns the code of an error and checks what all errors have in common.
func errorCode(t *testing.T, a servertest.Answer) string {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || len(body) != 3 || body["message"] == "" || body["message"] != body["description"] {
		t.Errorf("want error_code and the same text as message and description, got\n%s", a)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	if got, want := a.Header.Get("WWW-Authenticate") != "", a.Status == http.StatusUnauthorized; got != want {
		t.Errorf("status %d has a challenge: %t", a.Status, got)
	}
	return body["error_code"]
}

func TestTokenHasTheClaimsOfItsUser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	c := claims(t, s, s.Send(t, "POST", authorizePath, "", basic("alice", "a:b c")))
	got := fmt.Sprint(c.Login, c.UID, c.Name, c.Email, c.Groups, c.Kind, c.Audience)
	want := fmt.Sprint("alice", servertest.UID("alice"), "Alice", "alice@example.com", []string{"operators"}, token.KindJWT, []string{servertest.Issuer})
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBodySetsTheLifetime(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, c := range map[string]struct {
		body    string
		headers []string
		want    time.Duration
	}{
		"no body means 300 seconds":               {want: 300 * time.Second},
		"a media type without a body is ignored":  {headers: []string{"Content-Type: text/plain"}, want: 300 * time.Second},
		"an empty object means 300 seconds":       {body: `{}`, want: 300 * time.Second},
		"null counts as absent":                   {body: `{"ttl":null}`, want: 300 * time.Second},
		"a ttl counts seconds":                    {body: `{"ttl":60}`, want: time.Minute},
		"white space around the ttl is ignored":   {body: " {\"ttl\" :\n 60 } ", want: time.Minute},
		"the least ttl is 1":                      {body: `{"ttl":1}`, want: time.Second},
		"the largest ttl is 86400":                {body: `{"ttl":86400}`, want: 24 * time.Hour},
		"keys are case-sensitive":                 {body: `{"TTL":5,"Ttl":0}`, want: 300 * time.Second},
		"an escaped letter in the key is equal":   {body: `{"\u0074tl":60}`, want: time.Minute},
		"unknown keys are ignored":                {body: `{"ttl":60,"x":[{}]}`, want: time.Minute},
		"credentials in the body are ignored":     {body: `{"ttl":60,"username":"bob","password":7}`, want: time.Minute},
		"a media type may have parameters":        {body: `{"ttl":60}`, headers: []string{"Content-Type: application/json;charset=utf-8"}, want: time.Minute},
		"a media type may be in any case":         {body: `{"ttl":60}`, headers: []string{"Content-Type: Application/JSON"}, want: time.Minute},
		"Accept and x-api-version change nothing": {headers: []string{"Accept: text/html", "x-api-version: 99"}, want: 300 * time.Second},
		"a body of 32 levels is read":             {body: `{"ttl":60,"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, want: time.Minute},
		"a body of exactly 64 KiB is read":        {body: `{"ttl":60,"pad":"` + strings.Repeat("a", 65517) + `"}`, want: time.Minute},
		"the query is ignored":                    {want: 300 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			headers := append(c.headers, basic("alice", "a:b c"))
			got := claims(t, s, s.Send(t, "POST", authorizePath+"?ttl=5", c.body, headers...))
			if got.Login != "alice" || got.ExpiresAt.Sub(got.IssuedAt) != c.want {
				t.Errorf("got %s for %s, want alice for %s", got.Login, got.ExpiresAt.Sub(got.IssuedAt), c.want)
			}
		})
	}
}

func TestInvalidBodyIsABadRequest(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, c := range map[string]struct{ body, contentType string }{
		"zero":                           {body: `{"ttl":0}`},
		"below zero":                     {body: `{"ttl":-1}`},
		"minus zero":                     {body: `{"ttl":-0}`},
		"above a day":                    {body: `{"ttl":86401}`},
		"above any integer":              {body: `{"ttl":99999999999999999999}`},
		"a fraction":                     {body: `{"ttl":60.5}`},
		"a fraction of nothing":          {body: `{"ttl":60.0}`},
		"an exponent":                    {body: `{"ttl":6e1}`},
		"a string":                       {body: `{"ttl":"60"}`},
		"a boolean":                      {body: `{"ttl":true}`},
		"a list":                         {body: `{"ttl":[60]}`},
		"an object":                      {body: `{"ttl":{"seconds":60}}`},
		"a leading zero":                 {body: `{"ttl":060}`},
		"a whole body of null":           {body: `null`},
		"a list as body":                 {body: `[]`},
		"a number as body":               {body: `5`},
		"a string as body":               {body: `"x"`},
		"white space alone":              {body: ` `},
		"an object that does not end":    {body: `{"ttl":`},
		"a form":                         {body: `ttl=60`},
		"two values":                     {body: `{"ttl":60}{"ttl":60}`},
		"text after the value":           {body: `{"ttl":60} and more`},
		"a key twice":                    {body: `{"ttl":60,"ttl":60}`},
		"a key twice in a nested object": {body: `{"x":{"a":1,"a":2}}`},
		"33 levels":                      {body: `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`},
		"invalid UTF-8":                  {body: "{\"x\":\"\xff\"}"},
		"another media type":             {body: `{"ttl":60}`, contentType: "text/plain"},
		"the media type of a form":       {body: `{"ttl":60}`, contentType: "application/x-www-form-urlencoded"},
		"an invalid media type":          {body: `{"ttl":60}`, contentType: "json;;;="},
	} {
		t.Run(name, func(t *testing.T) {
			var bodies []string
			for _, header := range []string{basic("alice", "a:b c"), basic("alice", "wrong"), basic("nobody", "wrong"), "X-None: 1"} {
				headers := []string{header}
				if c.contentType != "" {
					headers = append(headers, "Content-Type: "+c.contentType)
				}
				a := s.Send(t, "POST", authorizePath, c.body, headers...)
				if code := errorCode(t, a); a.Status != http.StatusBadRequest || code != "bad_request" {
					t.Errorf("with %s: %d %s", header, a.Status, code)
				}
				bodies = append(bodies, a.Body)
			}
			if bodies[0] != bodies[1] || bodies[1] != bodies[2] || bodies[2] != bodies[3] {
				t.Errorf("responses differ by credentials: %q", bodies)
			}
		})
	}
	if events := s.Events(); len(events) > 0 {
		t.Errorf("a malformed request was audited: %+v", events)
	}
}

func TestAllRefusalsAreIdentical(t *testing.T) {
	t.Parallel()
	s := newService(t)
	good := base64.StdEncoding.EncodeToString([]byte("alice:a:b c"))
	text, _, err := s.Grants.JWT(t.Context(), user(t, s, "alice"), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := s.Send(t, "POST", authorizePath, "", basic("nobody", "wrong"))
	if code := errorCode(t, want); want.Status != http.StatusUnauthorized || code != "unauthorized" {
		t.Fatalf("got\n%s", want)
	}
	for name, headers := range map[string][]string{
		"a wrong password":                               {basic("alice", "wrong")},
		"an empty password":                              {basic("alice", "")},
		"an empty login":                                 {basic("", "a:b c")},
		"a login in another case":                        {basic("Alice", "a:b c")},
		"a revoked user with the right password":         {basic("revoked", "right")},
		"an expired account with the right password":     {basic("expired", "right")},
		"a locked account with the right password":       {basic("locked", "right")},
		"a user without a password":                      {basic("passwordless", "right")},
		"a wrong password of a user with an expired one": {basic("stale", "wrong")},
		"no credentials":                                 nil,
		"the scheme alone":                               {"Authorization: Basic"},
		"not base64":                                     {"Authorization: Basic %%%"},
		"no colon":                                       {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice"))},
		"invalid UTF-8":                                  {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice:\xff"))},
		"no scheme":                                      {"Authorization: " + good},
		"another scheme":                                 {"Authorization: Digest " + good},
		"a token instead":                                {"Authorization: JWT " + text},
		"a Bearer token instead":                         {"Authorization: Bearer " + text},
		"two headers":                                    {"Authorization: Basic " + good, "Authorization: Basic " + good},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.Send(t, "POST", authorizePath, `{"username":"alice","password":"a:b c"}`, headers...); got.String() != want.String() {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestSchemeIsCaseInsensitive(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, scheme := range []string{"basic", "BASIC", "bAsIc"} {
		claims(t, s, s.Send(t, "POST", authorizePath, "", strings.Replace(basic("alice", "a:b c"), "Basic", scheme, 1)))
	}
}

func TestPasswordExpiredNeedsTheExpiredPassword(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, login := range []string{"stale", "rotating"} {
		a := s.Send(t, "POST", authorizePath, "", basic(login, "old"))
		if code := errorCode(t, a); a.Status != http.StatusUnauthorized || code != "password_expired" {
			t.Errorf("%s: got\n%s", login, a)
		}
	}
	if a := s.Send(t, "POST", authorizePath, "", basic("stale", "wrong")); errorCode(t, a) != "unauthorized" {
		t.Errorf("a wrong password: got\n%s", a)
	}
	claims(t, s, s.Send(t, "POST", authorizePath, "", basic("rotating", "new")))
}

// The user's own default lifetime does not apply to JWTs.
func TestMaximumOfUserShortensToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for body, want := range map[string]time.Duration{"": time.Minute, `{"ttl":3600}`: time.Minute, `{"ttl":30}`: 30 * time.Second} {
		c := claims(t, s, s.Send(t, "POST", authorizePath, body, basic("brief", "right")))
		if got := c.ExpiresAt.Sub(c.IssuedAt); got != want {
			t.Errorf("body %s: %s, want %s", body, got, want)
		}
	}
	if a := s.Send(t, "POST", authorizePath, `{"ttl":86401}`, basic("brief", "right")); a.Status != http.StatusBadRequest {
		t.Errorf("a ttl out of range is not refused: got\n%s", a)
	}
}

func TestTwoCallsGiveTwoTokens(t *testing.T) {
	t.Parallel()
	s := newService(t)
	first := claims(t, s, s.Send(t, "POST", authorizePath, "", basic("alice", "a:b c")))
	second := claims(t, s, s.Send(t, "POST", authorizePath, "", basic("alice", "a:b c")))
	if first.ID == second.ID || first.UID != second.UID {
		t.Errorf("ids %s and %s, users %s and %s", first.ID, second.ID, first.UID, second.UID)
	}
}

func TestResponsesMatchGoldenFiles(t *testing.T) {
	s := newService(t)
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
	}{
		"unauthorized":       {"POST", authorizePath, "", []string{basic("alice", "wrong")}},
		"password-expired":   {"POST", authorizePath, "", []string{basic("stale", "old")}},
		"bad-request-ttl":    {"POST", authorizePath, `{"ttl":0}`, nil},
		"bad-request-json":   {"POST", authorizePath, `{"ttl":`, nil},
		"bad-request-object": {"POST", authorizePath, `null`, nil},
		"bad-request-type":   {"POST", authorizePath, `{}`, []string{"Content-Type: text/plain"}},
		"request-too-large":  {"POST", authorizePath, strings.Repeat(" ", 65537), nil},
		"not-found":          {"POST", "/v1/users/authorise", "", nil},
		"method-not-allowed": {"GET", authorizePath, "", nil},
		"refresh-no-token":   {"POST", refreshPath, "", nil},
		"refresh-method":     {"PUT", refreshPath, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, c.method, c.path, c.body, c.headers...)
			errorCode(t, a)
			a.Golden(t, name, *update)
		})
	}
}

func TestUnavailableWhileDirectoryIsIncomplete(t *testing.T) {
	s := servertest.New(t, servertest.Options{Unsynced: true})
	s.Send(t, "POST", authorizePath, "", basic("alice", "a:b c")).Golden(t, "unavailable", *update)
	s.Send(t, "POST", refreshPath, "", "Authorization: JWT x").Golden(t, "unavailable", *update)
}

func TestUnavailableWithoutKey(t *testing.T) {
	s := newService(t)
	s.Keys.Use(token.Keys{})
	s.Send(t, "POST", authorizePath, "", basic("alice", "a:b c")).Golden(t, "unavailable", *update)
}

func TestLoginIsAuditedWithoutPassword(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Send(t, "POST", authorizePath, "", basic("alice", "a:b c"))
	s.Send(t, "POST", authorizePath, "", basic("alice", "not hers"))
	events := s.Events()
	got := fmt.Sprintf("%+v", events)
	if len(events) != 3 || events[0].Name != audit.Login || events[1].Name != audit.Issue || events[2].Reason != "wrong_password" {
		t.Errorf("events: %s", got)
	}
	if strings.Contains(got, "a:b c") || strings.Contains(got, "not hers") {
		t.Errorf("a password was audited: %s", got)
	}
}

func user(t *testing.T, s *servertest.Service, login string) *directory.User {
	t.Helper()
	u, ok := s.Directory.ByLogin(login)
	if !ok {
		t.Fatalf("no user %s", login)
	}
	return u
}
