package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const elsewhere = "https://elsewhere.test"

// audienceService is a service with a user who may ask for tokens for another service.
type audienceService struct{ *servertest.Service }

func newAudienceService(t *testing.T) audienceService {
	s := audienceService{servertest.New(t, servertest.Options{})}
	s.Put(t, directory.User{Login: "alice", Audiences: []string{elsewhere, "urn:another"}}, "right")
	return s
}

// token asks for a token of alice with further parameters, and returns the answer.
func (s audienceService) token(t *testing.T, parameters url.Values) servertest.Answer {
	t.Helper()
	parameters.Set("grant_type", "client_credentials")
	return s.Send(t, "POST", "/oauth2/token", parameters.Encode(), basic("alice", "right"), "Content-Type: application/x-www-form-urlencoded")
}

// member returns a member of a JSON object, as JSON.
func member(t *testing.T, body, path string) string {
	t.Helper()
	raw := json.RawMessage(body)
	for name := range strings.SplitSeq(path, ".") {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		raw = object[name]
	}
	return string(raw)
}

func (s audienceService) mustToken(t *testing.T, parameters url.Values) string {
	t.Helper()
	a := s.token(t, parameters)
	if a.Status != http.StatusOK {
		t.Fatalf("got\n%s", a)
	}
	return strings.Trim(member(t, a.Body, "access_token"), `"`)
}

func (s audienceService) introspect(t *testing.T, text string) string {
	t.Helper()
	return s.Send(t, "POST", "/oauth2/introspect", "token="+text, basic("alice", "right"), "Content-Type: application/x-www-form-urlencoded").Body
}

func (s audienceService) review(t *testing.T, text string, audiences ...string) string {
	t.Helper()
	body := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":%q,"audiences":["%s"]}}`, text, strings.Join(audiences, `","`))
	return s.Send(t, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", body, "Content-Type: application/json").Body
}

func TestTokenIsForTheRequestedAudience(t *testing.T) {
	t.Parallel()
	s := newAudienceService(t)
	for name, c := range map[string]struct {
		parameters url.Values
		want       string
	}{
		"no parameter":                   {url.Values{}, `["` + servertest.Issuer + `"]`},
		"an empty parameter":             {url.Values{"resource": {""}}, `["` + servertest.Issuer + `"]`},
		"a resource":                     {url.Values{"resource": {elsewhere}}, `["` + elsewhere + `"]`},
		"an audience":                    {url.Values{"audience": {"urn:another"}}, `["urn:another"]`},
		"both, and one of them twice":    {url.Values{"resource": {elsewhere}, "audience": {"urn:another", elsewhere}}, `["` + elsewhere + `","urn:another"]`},
		"the service itself":             {url.Values{"resource": {servertest.Issuer}}, `["` + servertest.Issuer + `"]`},
		"the service and another one":    {url.Values{"resource": {servertest.Issuer, elsewhere}}, `["` + servertest.Issuer + `","` + elsewhere + `"]`},
		"a parameter of another request": {url.Values{"scope": {elsewhere}}, `["` + servertest.Issuer + `"]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := member(t, s.introspect(t, s.mustToken(t, c.parameters)), "aud"); got != c.want {
				t.Errorf("aud is %s, want %s", got, c.want)
			}
		})
	}
}

func TestAudienceThatTheUserLacksIsRefused(t *testing.T) {
	t.Parallel()
	s := newAudienceService(t)
	for _, parameters := range []url.Values{
		{"resource": {"https://third.test"}}, {"audience": {"https://third.test"}}, {"resource": {elsewhere, "https://third.test"}}, {"resource": {elsewhere + "/"}},
	} {
		if a := s.token(t, parameters); a.Status != http.StatusBadRequest || member(t, a.Body, "error") != `"invalid_target"` {
			t.Errorf("%v: got\n%s", parameters, a)
		}
	}
}

// Otherwise whoever receives the token for another service could act as its user here.
func TestTokenOfAnotherAudienceOpensNoRoute(t *testing.T) {
	t.Parallel()
	s := newAudienceService(t)
	text := s.mustToken(t, url.Values{"resource": {elsewhere}})
	own := s.mustToken(t, url.Values{"resource": {elsewhere, servertest.Issuer}})
	uid := servertest.UID("alice")
	for _, c := range []struct{ method, path, body, header string }{
		{"GET", "/auth/verify", "", "Authorization: Bearer "},
		{"GET", "/auth/verify", "", "X-Authentication: "},
		{"POST", "/v1/users/refresh_jwt", "{}", "Authorization: JWT "},
		{"POST", "/rbac-api/v1/tokens", "{}", "X-Authentication: "},
		{"GET", "/rbac-api/v1/users/current", "", "X-Authentication: "},
		{"GET", "/rbac-api/v1/users/" + uid + "/tokens", "", "X-Authentication: "},
		{"DELETE", "/rbac-api/v2/tokens", `{"revoke_tokens_by_usernames":["alice"]}`, "X-Authentication: "},
		{"POST", "/oauth2/introspect", "token=x", "Content-Type: application/x-www-form-urlencoded\nAuthorization: Bearer "},
	} {
		headers := func(token string) []string { return strings.Split(c.header+token, "\n") }
		if a := s.Send(t, c.method, c.path, c.body, headers(text)...); a.Status != http.StatusUnauthorized {
			t.Errorf("%s %s: got\n%s", c.method, c.path, a)
		}
		if c.method == "DELETE" {
			continue
		}
		if a := s.Send(t, c.method, c.path, c.body, headers(own)...); a.Status >= 300 {
			t.Errorf("%s %s with a token that is also for the service: got\n%s", c.method, c.path, a)
		}
	}
	if a := s.Send(t, "POST", "/rbac-api/v2/auth/token/authenticate", `{"token":"`+text+`"}`); a.Status < 400 {
		t.Errorf("authenticate: got\n%s", a)
	}
}

func TestReviewGrantsTheAudiencesOfTheToken(t *testing.T) {
	t.Parallel()
	s := newAudienceService(t)
	text := s.mustToken(t, url.Values{"resource": {elsewhere}})
	if got := member(t, s.review(t, text, servertest.Issuer, elsewhere), "status.audiences"); got != `["`+elsewhere+`"]` {
		t.Errorf("got %s", got)
	}
	if got := member(t, s.review(t, text, servertest.Issuer), "status.authenticated"); got != "false" {
		t.Errorf("a review for the service itself: %s", got)
	}
}

// A refreshed token must not reach further than the first one, nor keep what the user has lost.
func TestRefreshKeepsTheAudiences(t *testing.T) {
	t.Parallel()
	s := newAudienceService(t)
	text := s.mustToken(t, url.Values{"resource": {servertest.Issuer, elsewhere}})
	refresh := func() string {
		a := s.Send(t, "POST", "/v1/users/refresh_jwt", "{}", "Authorization: JWT "+text)
		if a.Status != http.StatusOK {
			t.Fatalf("got\n%s", a)
		}
		return member(t, s.introspect(t, strings.Trim(member(t, a.Body, "access_token"), `"`)), "aud")
	}
	if got := refresh(); got != `["`+servertest.Issuer+`","`+elsewhere+`"]` {
		t.Errorf("aud is %s", got)
	}
	s.Put(t, directory.User{Login: "alice"}, "right")
	if got := refresh(); got != `["`+servertest.Issuer+`"]` {
		t.Errorf("aud is %s after the user has lost the audience", got)
	}
}

func TestTokenOfAnotherAudienceCanBeRevoked(t *testing.T) {
	t.Parallel()
	s := newAudienceService(t)
	text := s.mustToken(t, url.Values{"resource": {elsewhere}})
	a := s.Send(t, "POST", "/oauth2/revoke", "token="+text, basic("alice", "right"), "Content-Type: application/x-www-form-urlencoded")
	if a.Status != http.StatusOK || s.introspect(t, text) != `{"active":false}` {
		t.Errorf("got\n%s", a)
	}
}
