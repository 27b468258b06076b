package oauth_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// assertGranted checks a successful response of the token endpoint and returns the claims of its
// token.
func assertGranted(t testing.TB, s service, a servertest.Answer) token.Claims {
	t.Helper()
	if a.Status != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Fatalf("want 200 without caching, got\n%s", a)
	}
	body := decode(t, a)
	delete(body, "issued_token_type") // after a token exchange
	text, _ := body["access_token"].(string)
	c, err := s.Tokens.Verifier.Verify(text, s.Now())
	if err != nil {
		t.Fatal(err)
	}
	if lifetime := c.ExpiresAt.Sub(c.IssuedAt).Seconds(); len(body) != 3 || body["token_type"] != "Bearer" || body["expires_in"] != lifetime {
		t.Errorf("a token valid for %v s came with\n%s", lifetime, a)
	}
	return c
}

func TestClientCredentialsGrant(t *testing.T) {
	t.Parallel()
	s := newService(t)
	encoded := basic(url.QueryEscape(oddLogin), url.QueryEscape(oddSecret))
	for name, c := range map[string]struct {
		headers []string
		form    []string
		want    string
	}{
		"with id and secret in the header": {
			[]string{basic("alice", "alice-secret")}, nil, "alice"},
		"with id and secret in the form": {
			nil, []string{"client_id", "alice", "client_secret", "alice-secret"}, "alice"},
		"with the client_id of the header repeated": {
			[]string{basic("alice", "alice-secret")}, []string{"client_id", "alice", "client_secret", ""}, "alice"},
		"with any scope": {
			[]string{basic("alice", "alice-secret")}, []string{"scope", "anything else"}, "alice"},
		"with unknown parameters": {
			[]string{basic("alice", "alice-secret")}, []string{"tenant", "x", "username", "bob"}, "alice"},
		"with a form-encoded header": {
			[]string{encoded}, nil, oddLogin},
		"with a form that is decoded once": {
			nil, []string{"client_id", oddLogin, "client_secret", oddSecret}, oddLogin},
		"with a header that is not form-encoded": {
			[]string{basic("raw", "100%sure")}, nil, "raw"},
		"with a plus sign in a header that is not form-encoded": {
			[]string{basic("plus", "1+1%3D2")}, nil, "plus"},
		"with a plus sign in a form-encoded header": {
			[]string{basic("plus", "1%2B1%253D2")}, nil, "plus"},
		"with the client_id of a header that is not form-encoded": {
			[]string{basic(oddLogin, oddSecret)}, []string{"client_id", oddLogin}, oddLogin},
		"with the scheme in any case": {
			[]string{strings.Replace(basic("alice", "alice-secret"), "Basic", "bASIC", 1)}, nil, "alice"},
		"with the maximum of the user": {
			[]string{basic("brief", "right")}, nil, "brief"},
	} {
		t.Run(name, func(t *testing.T) {
			got := assertGranted(t, s, s.post(t, tokenPath, c.headers, append(c.form, "grant_type", "client_credentials")...))
			if got.Login != c.want || got.Kind != token.KindJWT {
				t.Errorf("got a %s of %s", got.Kind, got.Login)
			}
		})
	}
}

func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	s := newService(t)
	owner := []string{"grant_type", "password", "username", "bob", "password", "bob-secret"}
	client := []string{basic("alice", "alice-secret")}
	if c := assertGranted(t, s, s.post(t, tokenPath, client, owner...)); c.Login != "bob" || c.ExpiresAt.Sub(c.IssuedAt) != 300*time.Second {
		t.Errorf("%+v", c)
	}
	if c := assertGranted(t, s, s.post(t, tokenPath, nil, append(owner, "client_id", "alice", "client_secret", "alice-secret")...)); c.Login != "bob" {
		t.Errorf("with the client in the form: %+v", c)
	}
	assertRefused(t, s.post(t, tokenPath, nil, owner...), http.StatusUnauthorized, "invalid_client")
	assertRefused(t, s.post(t, tokenPath, []string{basic("alice", "wrong")}, owner...), http.StatusUnauthorized, "invalid_client")
}

func TestAllRefusalsOfClientsAreIdentical(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, _ := issue(t, s, "alice")
	good := basic("alice", "alice-secret")
	want := s.post(t, tokenPath, []string{basic("nobody", "wrong")}, "grant_type", "client_credentials")
	assertRefused(t, want, http.StatusUnauthorized, "invalid_client")
	for name, c := range map[string]struct{ headers, form []string }{
		"a wrong secret":                        {headers: []string{basic("alice", "wrong")}},
		"an empty secret":                       {headers: []string{basic("alice", "")}},
		"a revoked client":                      {headers: []string{basic("revoked", "right")}},
		"an expired client":                     {headers: []string{basic("expired", "right")}},
		"a locked client":                       {headers: []string{basic("locked", "right")}},
		"a client with an expired password":     {headers: []string{basic("stale", "right")}},
		"a wrong secret in the form":            {form: []string{"client_id", "alice", "client_secret", "wrong"}},
		"no secret in the form":                 {form: []string{"client_id", "alice"}},
		"no id in the form":                     {form: []string{"client_secret", "alice-secret"}},
		"no client":                             {},
		"a header that is not base64":           {headers: []string{"Authorization: Basic %%%"}},
		"a header that is not base64 and an id": {headers: []string{"Authorization: Basic %%%"}, form: []string{"client_id", "alice"}},
		"a token":                               {headers: []string{"Authorization: Bearer " + signed}},
		"two headers":                           {headers: []string{good, good}},
		"an encoding of invalid UTF-8":          {headers: []string{basic("alice", "alice-secret%ff")}},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.post(t, tokenPath+"?client_id=alice&client_secret=alice-secret", c.headers, append(c.form, "grant_type", "client_credentials")...)
			if got.String() != want.String() {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestAllRefusalsOfUsersAreIdentical(t *testing.T) {
	t.Parallel()
	s := newService(t)
	client := []string{basic("alice", "alice-secret")}
	want := s.post(t, tokenPath, client, "grant_type", "password", "username", "nobody", "password", "wrong")
	assertRefused(t, want, http.StatusBadRequest, "invalid_grant")
	for login, password := range map[string]string{"bob": "wrong", "revoked": "right", "expired": "right", "locked": "right", "stale": "right"} {
		got := s.post(t, tokenPath, client, "grant_type", "password", "username", login, "password", password)
		if got.String() != want.String() {
			t.Errorf("%s: got\n%swant\n%s", login, got, want)
		}
	}
}

func TestMalformedRequestIsRefusedBeforeAnyPasswordCheck(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const formType = "Content-Type: application/x-www-form-urlencoded"
	good := "grant_type=client_credentials&client_id=alice&client_secret=alice-secret"
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
		code    string
	}{
		"no body":                                {"", nil, 400, "invalid_request"},
		"no grant":                               {"scope=x", []string{formType}, 400, "invalid_request"},
		"a grant without a value":                {"grant_type=", []string{formType}, 400, "invalid_request"},
		"another grant":                          {"grant_type=authorization_code&code=x", []string{formType}, 400, "unsupported_grant_type"},
		"a grant in another case":                {"grant_type=Password", []string{formType}, 400, "unsupported_grant_type"},
		"no username":                            {"grant_type=password&password=x", []string{formType}, 400, "invalid_request"},
		"no password":                            {"grant_type=password&username=alice", []string{formType}, 400, "invalid_request"},
		"a parameter twice":                      {good + "&scope=a&scope=a", []string{formType}, 400, "invalid_request"},
		"a secret twice":                         {good + "&client_secret=alice-secret", []string{formType}, 400, "invalid_request"},
		"an invalid form encoding":               {good + "&x=%zz", []string{formType}, 400, "invalid_request"},
		"a semicolon":                            {good + ";x=1", []string{formType}, 400, "invalid_request"},
		"invalid UTF-8":                          {good + "&username=%ff", []string{formType}, 400, "invalid_request"},
		"no media type":                          {good, nil, 400, "invalid_request"},
		"another media type":                     {good, []string{"Content-Type: application/json"}, 400, "invalid_request"},
		"a client in the header and in the form": {good, []string{formType, basic("alice", "alice-secret")}, 400, "invalid_request"},
		"a client_id that differs from the header": {
			"grant_type=client_credentials&client_id=bob", []string{formType, basic("alice", "alice-secret")}, 400, "invalid_request"},
		"a body over 64 KiB": {good + "&scope=" + strings.Repeat("a", 65536), []string{formType}, 413, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, "POST", tokenPath, c.body, c.headers...)
			assertRefused(t, a, c.status, c.code)
			if strings.Contains(a.Body, "alice") {
				t.Errorf("the response repeats the request:\n%s", a)
			}
		})
	}
	if events := s.Events(); len(events) > 0 {
		t.Errorf("a malformed request was audited: %+v", events)
	}
}

func TestUnavailableWithoutKey(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Keys.Use(token.Keys{})
	a := s.post(t, tokenPath, []string{basic("alice", "alice-secret")}, "grant_type", "client_credentials")
	assertRefused(t, a, http.StatusServiceUnavailable, "temporarily_unavailable")
}

func TestFormMediaTypeMayHaveParameters(t *testing.T) {
	t.Parallel()
	s := newService(t)
	header := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice:alice-secret"))
	assertGranted(t, s, s.Send(t, "POST", tokenPath, "grant_type=client_credentials", header, "Content-Type: application/x-www-form-urlencoded; charset=UTF-8"))
}
