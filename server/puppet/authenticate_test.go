package puppet_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestAuthenticateDescribesTokenAndUser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, text := range map[string]string{
		"opaque":   issueOpaque(t, s, "alice", grant.Order{Lifetime: 2 * time.Hour, Description: "not kept", Client: "not kept"}),
		"labelled": issueOpaque(t, s, "alice", grant.Order{Lifetime: 2 * time.Hour, Label: "ci", Description: "for the nightly job", Client: "PE console"}),
		"bare":     issueOpaque(t, s, "alice", grant.Order{Lifetime: 2 * time.Hour, Label: "bare"}),
		"JWT":      issueJWT(t, s, "alice"),
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, "POST", authenticatePath, jsonObject(t, "token", text, "update_last_activity?", true), tokenHeader("garbage"))
			c := claims(t, s, text)
			creation, expiration := c.IssuedAt.Format(time.RFC3339), c.ExpiresAt.Format(time.RFC3339)
			if a.Status != http.StatusOK || strings.Contains(a.Body, text) || !strings.HasSuffix(creation, "Z") {
				t.Fatalf("got\n%s", a)
			}
			uid := servertest.UID("alice")
			want := jsonObject(t,
				"id", uid, "user_id", uid, "login", "alice", "email", "alice@example.com", "display_name", "Alice",
				"role_ids", []int{}, "group_names", []string{"operators"}, "is_group", false, "is_remote", false, "is_revoked", false, "is_superuser", false,
				"creation", creation, "expiration", expiration, "last_active", creation, "last_login", creation, "timeout", nil,
				"label", map[string]any{"labelled": "ci", "bare": "bare"}[name],
				"description", map[string]any{"labelled": "for the nightly job"}[name],
				"client", map[string]any{"labelled": "PE console"}[name])
			if got := decode(t, a); jsonObject(t, fieldsOf(got)...) != want {
				t.Errorf("got\n%s\nwant\n%s", a.Body, want)
			}
		})
	}
}

// fieldsOf returns the names and values of m, alternating.
func fieldsOf(m map[string]any) (out []any) {
	for name, value := range m {
		out = append(out, name, value)
	}
	return out
}

func TestAuthenticateChecksItsBody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	good := issueOpaque(t, s, "alice", grant.Order{})
	for name, c := range map[string]struct {
		body   string
		status int
		kind   string
	}{
		"no token":                    {`{}`, 400, "schema-violation"},
		"a token that is a number":    {`{"token":5}`, 400, "schema-violation"},
		"a token of null":             {`{"token":null}`, 400, "schema-violation"},
		"a flag that is a string":     {jsonObject(t, "token", good, "update_last_activity?", "no"), 400, "schema-violation"},
		"a flag of null":              {jsonObject(t, "token", good, "update_last_activity?", nil), 400, "schema-violation"},
		"a flag that is a number":     {jsonObject(t, "token", good, "update_last_activity?", 1), 400, "schema-violation"},
		"a flag without the mark":     {jsonObject(t, "token", good, "update_last_activity", true), 400, "schema-violation"},
		"a list":                      {`[]`, 400, "schema-violation"},
		"nothing":                     {``, 400, "malformed-request"},
		"a truncated object":          {`{"token"`, 400, "malformed-request"},
		"a body over 64 KiB":          {strings.Repeat(" ", 65537), 413, "request-too-large"},
		"an empty token":              {`{"token":""}`, 400, "invalid-token"},
		"an invalid token":            {`{"token":"garbage"}`, 400, "invalid-token"},
		"a token with the suffix":     {jsonObject(t, "token", good+"|no_keepalive"), 400, "invalid-token"},
		"a token with a space":        {jsonObject(t, "token", good+" "), 400, "invalid-token"},
		"a token with a newline":      {jsonObject(t, "token", good+"\n"), 400, "invalid-token"},
		"a JWT without its signature": {jsonObject(t, "token", strings.Join(strings.Split(issueJWT(t, s, "alice"), ".")[:2], ".")+"."), 400, "invalid-token"},
	} {
		t.Run(name, func(t *testing.T) { assertRefused(t, s.Send(t, "POST", authenticatePath, c.body), c.status, c.kind) })
	}
	a := s.Send(t, "POST", authenticatePath, jsonObject(t, "token", good), "Content-Type: text/plain")
	assertRefused(t, a, http.StatusUnsupportedMediaType, "unsupported-type")
}

func TestMembersOfAdminGroupsAreSuperusers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Put(t, directory.User{Login: "wanda", Groups: []string{"wheel"}}, "right")
	s.Put(t, directory.User{Login: "mallory", Groups: []string{"Wheel", "gatehouse-admin"}}, "right")
	for login, want := range map[string]bool{"alice": false, "bob": false, "admin": true, "wanda": true, "mallory": false} {
		for path, a := range map[string]servertest.Answer{
			"current":      s.Send(t, "GET", currentPath, "", tokenHeader(issueJWT(t, s, login))),
			"authenticate": s.Send(t, "POST", authenticatePath, jsonObject(t, "token", issueJWT(t, s, login))),
		} {
			if got := decode(t, a)["is_superuser"]; got != want {
				t.Errorf("%s, %s: %v", login, path, got)
			}
		}
	}
}

func TestLastLoginIsTheIssueOfTheLastToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	issued := time.Date(2026, 11, 22, 8, 30, 5, 999e6, time.FixedZone("", 3600))
	s.Put(t, directory.User{Login: "bob", LastTokenIssuedAt: issued}, "right")
	a := s.Send(t, "GET", currentPath, "", tokenHeader(issueJWT(t, s, "bob")))
	if got := decode(t, a)["last_login"]; got != "2026-11-22T07:30:05Z" {
		t.Errorf("last_login is %v", got)
	}
}
