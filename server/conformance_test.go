package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// newService starts a service with a password cache.
func newService(t testing.TB) *servertest.Service {
	return newServiceWith(t, servertest.Options{PasswordCacheTTL: time.Minute})
}

// newServiceWith starts a service with an ordinary user, another one and an administrator.
func newServiceWith(t testing.TB, o servertest.Options) *servertest.Service {
	s := servertest.New(t, o)
	s.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.Put(t, directory.User{Login: "alice", Created: s.Now()}, "right")
	s.Put(t, directory.User{Login: "bob"}, "right")
	s.Put(t, directory.User{Login: "admin", Groups: []string{"gatehouse-admins"}}, "right")
	return s
}

func basic(login, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
}

const (
	formType = "Content-Type: application/x-www-form-urlencoded"
	reviews  = "/apis/authentication.k8s.io/v1/tokenreviews"
	label    = "the label"
)

// The kinds of tokens.
const (
	jwt      = "JWT"
	opaque   = "opaque"
	labelled = "opaque with a label"
)

// issue returns a token that is valid for an hour, without a request to an API.
func issue(t testing.TB, s *servertest.Service, login, kind string) string {
	t.Helper()
	u, ok := s.Directory.ByLogin(login)
	if !ok {
		t.Fatalf("no user %s", login)
	}
	var text string
	var err error
	switch kind {
	case jwt:
		text, _, err = s.Grants.JWT(t.Context(), u, time.Hour)
	case opaque:
		text, err = s.Grants.Opaque(t.Context(), u, grant.Order{Lifetime: time.Hour})
	case labelled:
		text, err = s.Grants.Opaque(t.Context(), u, grant.Order{Lifetime: time.Hour, Label: label})
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verdict is what a response must look like: its status, and a part of its body.
type verdict struct {
	status int
	part   string
}

func (v verdict) matches(a servertest.Answer) bool {
	return a.Status == v.status && strings.Contains(a.Body, v.part)
}

// route is a route that checks tokens: how to send it a token of alice, and how it responds to a
// valid and to a dead one.
type route struct {
	ask         func(testing.TB, *servertest.Service, string) servertest.Answer
	alive, dead verdict
	kinds       []string // of tokens that it accepts; empty: all
}

// sendInHeader returns a function that sends a request with the token in a header.
func sendInHeader(method, path, body, header string, more ...string) func(testing.TB, *servertest.Service, string) servertest.Answer {
	return func(t testing.TB, s *servertest.Service, text string) servertest.Answer {
		return s.Send(t, method, path, body, append([]string{header + text}, more...)...)
	}
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func review(t testing.TB, s *servertest.Service, text string) servertest.Answer {
	return s.Send(t, "POST", reviews, marshal(t, map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": map[string]string{"token": text},
	}))
}

// routes returns all routes that check tokens.
func routes() map[string]route {
	const puppetHeader, bearer, current = "X-Authentication: ", "Authorization: Bearer ", "/rbac-api/v1/users/current"
	ok, refused := verdict{status: http.StatusOK}, verdict{status: http.StatusUnauthorized}
	listPath := "/rbac-api/v1/users/" + servertest.UID("alice") + "/tokens"
	return map[string]route{
		"refresh_jwt":            {sendInHeader("POST", "/v1/users/refresh_jwt", "", "Authorization: JWT "), ok, refused, []string{jwt}},
		"refresh_jwt, as Bearer": {sendInHeader("POST", "/v1/users/refresh_jwt", "", bearer), ok, refused, []string{jwt}},
		"users/current":          {ask: sendInHeader("GET", current, "", puppetHeader), alive: ok, dead: refused},
		"users/current, in the query": {ask: func(t testing.TB, s *servertest.Service, text string) servertest.Answer {
			return s.Send(t, "GET", current+"?token="+text, "")
		}, alive: ok, dead: refused},
		"generate":       {ask: sendInHeader("POST", "/rbac-api/v1/tokens", "", puppetHeader), alive: ok, dead: refused},
		"list":           {ask: sendInHeader("GET", listPath, "", puppetHeader), alive: ok, dead: refused},
		"revoke, Puppet": {ask: sendInHeader("DELETE", "/rbac-api/v2/tokens?revoke_tokens_by_labels=none", "", puppetHeader), alive: verdict{status: http.StatusNoContent}, dead: refused},
		"authenticate": {ask: func(t testing.TB, s *servertest.Service, text string) servertest.Answer {
			return s.Send(t, "POST", "/rbac-api/v2/auth/token/authenticate", marshal(t, map[string]string{"token": text}))
		}, alive: ok, dead: verdict{status: http.StatusForbidden}},
		"introspect": {ask: func(t testing.TB, s *servertest.Service, text string) servertest.Answer {
			return s.Send(t, "POST", "/oauth2/introspect", url.Values{"token": {text}}.Encode(), basic("bob", "right"), formType)
		}, alive: verdict{http.StatusOK, `"active":true`}, dead: verdict{http.StatusOK, `{"active":false}`}},
		"introspect, as caller": {ask: sendInHeader("POST", "/oauth2/introspect", "token=x", bearer, formType), alive: ok, dead: refused},
		"revoke, as caller":     {ask: sendInHeader("POST", "/oauth2/revoke", "token=x", bearer, formType), alive: ok, dead: refused},
		"TokenReview":           {ask: review, alive: verdict{http.StatusOK, `"authenticated":true`}, dead: verdict{http.StatusOK, `"status":{"authenticated":false}`}},
		"verify, as Bearer":     {ask: sendInHeader("GET", "/auth/verify", "", bearer), alive: ok, dead: refused},
		"verify, as JWT":        {ask: sendInHeader("GET", "/auth/verify", "", "Authorization: JWT "), alive: ok, dead: refused},
		"verify, X-Authentication": {
			ask: sendInHeader("GET", "/auth/verify", "", puppetHeader), alive: ok, dead: refused,
		},
	}
}

// incident is something that happens while alice holds a token.
type incident func(t testing.TB, s *servertest.Service, text string)

// changeAlice returns an incident that replaces the User of alice.
func changeAlice(change func(*servertest.Service, *directory.User)) incident {
	return func(t testing.TB, s *servertest.Service, _ string) {
		next := directory.User{Login: "alice"}
		change(s, &next)
		s.Put(t, next, "right")
	}
}

// sendExpecting returns an incident that sends a request, which must have this status.
func sendExpecting(status int, request func(testing.TB, *servertest.Service, string) servertest.Answer) incident {
	return func(t testing.TB, s *servertest.Service, text string) {
		t.Helper()
		if a := request(t, s, text); a.Status != status {
			t.Fatalf("want %d, got\n%s", status, a)
		}
	}
}

// revokeBy returns an incident in which a caller revokes with one parameter of the Puppet API.
func revokeBy(caller, parameter string, value func(testing.TB, *servertest.Service, string) string) incident {
	return sendExpecting(http.StatusNoContent, func(t testing.TB, s *servertest.Service, text string) servertest.Answer {
		body := marshal(t, map[string][]string{parameter: {value(t, s, text)}})
		return s.Send(t, "DELETE", "/rbac-api/v2/tokens", body, "X-Authentication: "+issue(t, s, caller, opaque))
	})
}

func always(value string) func(testing.TB, *servertest.Service, string) string {
	return func(testing.TB, *servertest.Service, string) string { return value }
}

func tokenID(t testing.TB, s *servertest.Service, text string) string {
	c, err := s.Tokens.Verifier.Verify(text, s.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// ends returns the ways in which a token ends, with the kinds of token that can end that way.
func ends() map[string]struct {
	end   incident
	kinds []string
} {
	all, onRecord := []string{jwt, opaque, labelled}, []string{labelled}
	gone := func(_ testing.TB, s *servertest.Service, _ string) { s.Directory.Delete("gatehouse-users/alice") }
	itself := func(_ testing.TB, _ *servertest.Service, text string) string { return text }
	return map[string]struct {
		end   incident
		kinds []string
	}{
		"the user is revoked": {changeAlice(func(_ *servertest.Service, u *directory.User) { u.Revoked = true }), all},
		"the account expires": {func(t testing.TB, s *servertest.Service, text string) {
			changeAlice(func(s *servertest.Service, u *directory.User) { u.ExpiresAt = s.Now().Add(time.Minute) })(t, s, text)
			s.Advance(time.Minute)
		}, all},
		"the user is deleted": {gone, all},
		"the user is deleted and created again": {func(t testing.TB, s *servertest.Service, text string) {
			gone(t, s, text)
			changeAlice(func(_ *servertest.Service, u *directory.User) { u.UID = servertest.UID("alice the second") })(t, s, text)
		}, all},
		"the user is replaced without a deletion": {changeAlice(func(_ *servertest.Service, u *directory.User) { u.UID = servertest.UID("alice the second") }), all},
		"an older user has the login": {func(t testing.TB, s *servertest.Service, _ string) {
			s.Put(t, directory.User{Key: "gatehouse-users/older", UID: servertest.UID("older"), Login: "alice", Created: s.Now().Add(-time.Hour)}, "right")
		}, all},
		"tokensValidAfter moves":               {changeAlice(func(s *servertest.Service, u *directory.User) { u.TokensValidAfter = s.Now() }), all},
		"tokensValidAfter moves to the future": {changeAlice(func(s *servertest.Service, u *directory.User) { u.TokensValidAfter = s.Now().AddDate(1, 0, 0) }), all},
		"the user revokes all by name":         {revokeBy("alice", "revoke_tokens_by_usernames", always("alice")), all},
		"an administrator revokes all by name": {revokeBy("admin", "revoke_tokens_by_usernames", always("alice")), all},
		"an administrator revokes all by UUID": {revokeBy("admin", "revoke_tokens_by_ids", always(servertest.UID("alice"))), all},
		"it is revoked by itself":              {revokeBy("bob", "revoke_tokens", itself), all},
		"it is revoked by its path": {sendExpecting(http.StatusNoContent, func(t testing.TB, s *servertest.Service, text string) servertest.Answer {
			return s.Send(t, "DELETE", "/rbac-api/v2/tokens/"+text, "")
		}), all},
		"it is revoked with OAuth 2": {sendExpecting(http.StatusOK, func(t testing.TB, s *servertest.Service, text string) servertest.Answer {
			return s.Send(t, "POST", "/oauth2/revoke", url.Values{"token": {text}}.Encode(), basic("bob", "right"), formType)
		}), all},
		"its record is revoked": {func(t testing.TB, s *servertest.Service, text string) {
			s.Directory.PutRecord(directory.Record{ID: tokenID(t, s, text), UserUID: servertest.UID("alice"), Revoked: true})
		}, all},
		"it is revoked by its id": {revokeBy("admin", "revoke_tokens_by_ids", tokenID), onRecord},
		"its label is revoked":    {revokeBy("alice", "revoke_tokens_by_labels", always(label)), onRecord},
		"it expires":              {func(_ testing.TB, s *servertest.Service, _ string) { s.Advance(time.Hour) }, all},
	}
}

// forEachRoute runs check as a subtest for every route that accepts tokens of this kind.
func forEachRoute(t *testing.T, kind string, check func(*testing.T, route)) {
	for name, r := range routes() {
		if len(r.kinds) == 0 || r.kinds[0] == kind {
			t.Run(name, func(t *testing.T) { check(t, r) })
		}
	}
}

func TestEndedTokenIsDeadAtEveryRoute(t *testing.T) {
	t.Parallel()
	for name, e := range ends() {
		for _, kind := range e.kinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := newService(t)
				text := issue(t, s, "alice", kind)
				forEachRoute(t, kind, func(t *testing.T, r route) {
					if a := r.ask(t, s, text); !r.alive.matches(a) {
						t.Errorf("token is dead before its end:\n%s", a)
					}
				})
				e.end(t, s, text)
				forEachRoute(t, kind, func(t *testing.T, r route) {
					if a := r.ask(t, s, text); !r.dead.matches(a) {
						t.Errorf("token is still alive:\n%s", a)
					}
				})
			})
		}
	}
}

func TestHarmlessIncidentLeavesTokenValidAtEveryRoute(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]incident{
		"nothing":               func(testing.TB, *servertest.Service, string) {},
		"the account is locked": changeAlice(func(s *servertest.Service, u *directory.User) { u.LockedUntil = s.Now().Add(time.Hour) }),
		"the password changes": func(t testing.TB, s *servertest.Service, _ string) {
			s.Put(t, directory.User{Login: "alice"}, "another")
		},
		"groups and name change":                    changeAlice(func(_ *servertest.Service, u *directory.User) { u.Groups, u.DisplayName = []string{"x"}, "Alice" }),
		"the account expires later":                 changeAlice(func(s *servertest.Service, u *directory.User) { u.ExpiresAt = s.Now().Add(time.Minute) }),
		"older tokens become void":                  changeAlice(func(s *servertest.Service, u *directory.User) { u.TokensValidAfter = s.Now().Add(-time.Minute) }),
		"the login changes":                         func(t testing.TB, s *servertest.Service, _ string) { renameAlice(t, s) },
		"tokens of another user are revoked":        revokeBy("admin", "revoke_tokens_by_usernames", always("bob")),
		"another label is revoked":                  revokeBy("alice", "revoke_tokens_by_labels", always("another label")),
		"the same label of another user is revoked": revokeBy("bob", "revoke_tokens_by_labels", always(label)),
		"it is about to expire":                     func(_ testing.TB, s *servertest.Service, _ string) { s.Advance(59 * time.Minute) },
		"another token is revoked": func(t testing.TB, s *servertest.Service, text string) {
			revokeBy("bob", "revoke_tokens", always(issue(t, s, "alice", opaque)))(t, s, text)
		},
	} {
		for _, kind := range []string{jwt, opaque, labelled} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := newService(t)
				text := issue(t, s, "alice", kind)
				happens(t, s, text)
				forEachRoute(t, kind, func(t *testing.T, r route) {
					if a := r.ask(t, s, text); !r.alive.matches(a) {
						t.Errorf("token is dead:\n%s", a)
					}
				})
			})
		}
	}
}

// renameAlice gives alice another login. Her UID, which tokens carry, stays the same.
func renameAlice(t testing.TB, s *servertest.Service) {
	s.Put(t, directory.User{Key: "gatehouse-users/alice", UID: servertest.UID("alice"), Login: "alicia"}, "right")
}
