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

func TestTokenIsInHeaderOrQuery(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for kind, text := range map[string]string{"opaque": issueOpaque(t, s, "alice", grant.Order{}), "JWT": issueJWT(t, s, "alice")} {
		for name, c := range map[string]struct {
			query, header string
			refusal       string
		}{
			"in the header":                       {header: text},
			"in the header with the suffix":       {header: text + "|no_keepalive"},
			"in the query":                        {query: text},
			"in the query beside an empty header": {query: text, header: "-"},
			"in the header rather than the query": {query: "garbage", header: text},
			"not in the query after a bad header": {query: text, header: "garbage", refusal: "invalid-token"},
			"not in the query with the suffix":    {query: text + "%7Cno_keepalive", refusal: "invalid-token"},
			"not with the suffix in another case": {header: text + "|NO_KEEPALIVE", refusal: "invalid-token"},
			"not with the suffix twice":           {header: text + "|no_keepalive|no_keepalive", refusal: "invalid-token"},
			"not truncated":                       {header: text[:len(text)-1], refusal: "invalid-token"},
			"not with one character changed":      {header: text[:20] + otherLetter(text[20]) + text[21:], refusal: "invalid-token"},
			"not in Authorization":                {refusal: "user-unauthenticated"},
			"an empty header and an empty query":  {header: "-", query: "", refusal: "user-unauthenticated"},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				headers := []string{"Authorization: Bearer " + text}
				if c.header != "" {
					headers = append(headers, tokenHeader(strings.TrimPrefix(c.header, "-")))
				}
				a := s.Send(t, "GET", currentPath+"?token="+c.query, "", headers...)
				if c.refusal != "" {
					assertRefused(t, a, http.StatusUnauthorized, c.refusal)
				} else if a.Status != http.StatusOK {
					t.Errorf("got\n%s", a)
				}
			})
		}
	}
}

func otherLetter(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// tokenEnds returns the ways in which a valid token ends, with the kind of error that the API has
// for each.
func tokenEnds() map[string]struct {
	end  func(*testing.T, *servertest.Service, string)
	kind string
} {
	put := func(u directory.User) func(*testing.T, *servertest.Service, string) {
		return func(t *testing.T, s *servertest.Service, _ string) { u.Login = "alice"; s.Put(t, u, "right") }
	}
	return map[string]struct {
		end  func(*testing.T, *servertest.Service, string)
		kind string
	}{
		"it expired":                         {func(_ *testing.T, s *servertest.Service, _ string) { s.Advance(2 * time.Hour) }, "token-expired"},
		"its account expired":                {put(directory.User{ExpiresAt: time.Now().Add(-time.Second)}), "token-expired"},
		"its user is revoked":                {put(directory.User{Revoked: true}), "user-revoked"},
		"it is too old":                      {put(directory.User{TokensValidAfter: time.Now().Add(time.Minute)}), "token-revoked"},
		"all tokens of its user are revoked": {put(directory.User{TokensRevokedAt: time.Now().Add(time.Minute)}), "token-revoked"},
		"its login has another user":         {put(directory.User{UID: servertest.UID("another")}), "token-revoked"},
		"its user is deleted":                {func(_ *testing.T, s *servertest.Service, _ string) { s.Directory.Delete("gatehouse-users/alice") }, "token-revoked"},
		"it was revoked":                     {func(t *testing.T, s *servertest.Service, text string) { s.Send(t, "DELETE", revokePath+"/"+text, "") }, "token-revoked"},
		"it and its user are revoked":        {revokeBoth, "token-revoked"},
	}
}

func revokeBoth(t *testing.T, s *servertest.Service, text string) {
	s.Send(t, "DELETE", revokePath+"/"+text, "")
	s.Put(t, directory.User{Login: "alice", Revoked: true}, "right")
}

// An ended token is unauthorized as a credential, and forbidden where the request asks about it.
func TestEndedToken(t *testing.T) {
	t.Parallel()
	for name, c := range tokenEnds() {
		for _, kind := range []string{"opaque", "labelled", "JWT"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				s := newService(t)
				text := map[string]string{
					"opaque": issueOpaque(t, s, "alice", grant.Order{}), "labelled": issueOpaque(t, s, "alice", grant.Order{Label: "x"}), "JWT": issueJWT(t, s, "alice"),
				}[kind]
				question := jsonObject(t, "token", text)
				assertAlive(t, s, text)
				if a := s.Send(t, "POST", authenticatePath, question); a.Status != http.StatusOK {
					t.Errorf("got\n%s", a)
				}
				c.end(t, s, text)
				assertDead(t, s, text, c.kind)
				assertRefused(t, s.Send(t, "POST", generatePath, "", tokenHeader(text)), http.StatusUnauthorized, c.kind)
				assertRefused(t, s.Send(t, "DELETE", revokePath, "", tokenHeader(text)), http.StatusUnauthorized, c.kind)
				assertRefused(t, s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID("alice")+"/tokens", "", tokenHeader(text)), http.StatusUnauthorized, c.kind)
				assertRefused(t, s.Send(t, "POST", authenticatePath, question), http.StatusForbidden, c.kind)
			})
		}
	}
}
