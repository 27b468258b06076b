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

func TestATokenIsDescribedTogetherWithItsUser(t *testing.T) {
	s := newService(t)
	for name, text := range map[string]string{
		"opaque":   sealed(t, s, "alice", grant.Order{Lifetime: 2 * time.Hour, Description: "not kept", Client: "not kept"}),
		"labelled": sealed(t, s, "alice", grant.Order{Lifetime: 2 * time.Hour, Label: "ci", Description: "for the nightly job", Client: "PE console"}),
		"bare":     sealed(t, s, "alice", grant.Order{Lifetime: 2 * time.Hour, Label: "bare"}),
		"JWT":      signed(t, s, "alice"),
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, "POST", authenticatePath, object(t, "token", text, "update_last_activity?", true), with("garbage"))
			c := claims(t, s, text)
			creation, expiration := c.IssuedAt.Format(time.RFC3339), c.ExpiresAt.Format(time.RFC3339)
			if a.Status != http.StatusOK || strings.Contains(a.Body, text) || !strings.HasSuffix(creation, "Z") {
				t.Fatalf("got\n%s", a)
			}
			uid := servertest.UID("alice")
			want := object(t,
				"id", uid, "user_id", uid, "login", "alice", "email", "alice@example.com", "display_name", "Alice",
				"role_ids", []int{}, "group_names", []string{"operators"}, "is_group", false, "is_remote", false, "is_revoked", false, "is_superuser", false,
				"creation", creation, "expiration", expiration, "last_active", creation, "last_login", creation, "timeout", nil,
				"label", map[string]any{"labelled": "ci", "bare": "bare"}[name],
				"description", map[string]any{"labelled": "for the nightly job"}[name],
				"client", map[string]any{"labelled": "PE console"}[name])
			if got := decode(t, a); object(t, members(got)...) != want {
				t.Errorf("got\n%s\nwant\n%s", a.Body, want)
			}
		})
	}
}

func members(m map[string]any) (out []any) {
	for name, value := range m {
		out = append(out, name, value)
	}
	return out
}

func TestAuthenticateChecksItsBody(t *testing.T) {
	s := newService(t)
	good := sealed(t, s, "alice", grant.Order{})
	for name, c := range map[string]struct {
		body   string
		status int
		kind   string
	}{
		"no token":                    {`{}`, 400, "schema-violation"},
		"a token that is a number":    {`{"token":5}`, 400, "schema-violation"},
		"a token of null":             {`{"token":null}`, 400, "schema-violation"},
		"a flag that is a string":     {object(t, "token", good, "update_last_activity?", "no"), 400, "schema-violation"},
		"a flag of null":              {object(t, "token", good, "update_last_activity?", nil), 400, "schema-violation"},
		"a flag that is a number":     {object(t, "token", good, "update_last_activity?", 1), 400, "schema-violation"},
		"a flag without its mark":     {object(t, "token", good, "update_last_activity", true), 400, "schema-violation"},
		"a list":                      {`[]`, 400, "schema-violation"},
		"nothing":                     {``, 400, "malformed-request"},
		"what does not end":           {`{"token"`, 400, "malformed-request"},
		"too much":                    {strings.Repeat(" ", 65537), 413, "request-too-large"},
		"an empty token":              {`{"token":""}`, 400, "invalid-token"},
		"a token that is none":        {`{"token":"garbage"}`, 400, "invalid-token"},
		"a token with the suffix":     {object(t, "token", good+"|no_keepalive"), 400, "invalid-token"},
		"a token with a space":        {object(t, "token", good+" "), 400, "invalid-token"},
		"a token with a newline":      {object(t, "token", good+"\n"), 400, "invalid-token"},
		"a JWT without its signature": {object(t, "token", strings.Join(strings.Split(signed(t, s, "alice"), ".")[:2], ".")+"."), 400, "invalid-token"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, s.Send(t, "POST", authenticatePath, c.body), c.status, c.kind) })
	}
	a := s.Send(t, "POST", authenticatePath, object(t, "token", good), "Content-Type: text/plain")
	refused(t, a, http.StatusUnsupportedMediaType, "unsupported-type")
}

func TestAMemberOfAnyAdminGroupIsASuperuser(t *testing.T) {
	s := newService(t)
	s.Put(t, directory.User{Login: "wanda", Groups: []string{"wheel"}}, "right")
	s.Put(t, directory.User{Login: "mallory", Groups: []string{"Wheel", "gatehouse-admin"}}, "right")
	for login, want := range map[string]bool{"alice": false, "bob": false, "admin": true, "wanda": true, "mallory": false} {
		for path, a := range map[string]servertest.Answer{
			"current":      s.Send(t, "GET", currentPath, "", with(signed(t, s, login))),
			"authenticate": s.Send(t, "POST", authenticatePath, object(t, "token", signed(t, s, login))),
		} {
			if got := decode(t, a)["is_superuser"]; got != want {
				t.Errorf("%s, %s: %v", login, path, got)
			}
		}
	}
}

func TestTheLastLoginOfAUserIsThatOfItsLastToken(t *testing.T) {
	s := newService(t)
	at := time.Date(2026, 11, 22, 8, 30, 5, 999e6, time.FixedZone("", 3600))
	s.Put(t, directory.User{Login: "bob", LastTokenIssuedAt: at}, "right")
	a := s.Send(t, "GET", currentPath, "", with(signed(t, s, "bob")))
	if got := decode(t, a)["last_login"]; got != "2026-11-22T07:30:05Z" {
		t.Errorf("it is %v", got)
	}
}
