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

func TestATokenStandsInTheHeaderOrElseInTheQuery(t *testing.T) {
	s := newService(t)
	for kind, text := range map[string]string{"opaque": sealed(t, s, "alice", grant.Order{}), "JWT": signed(t, s, "alice")} {
		for name, c := range map[string]struct {
			query, header string
			refusal       string
		}{
			"in the header":                       {header: text},
			"in the header with the suffix":       {header: text + "|no_keepalive"},
			"in the query":                        {query: text},
			"in the query beside an empty header": {query: text, header: "-"},
			"in the header before the query":      {query: "garbage", header: text},
			"not in the query after a bad header": {query: text, header: "garbage", refusal: "invalid-token"},
			"not in the query with the suffix":    {query: text + "%7Cno_keepalive", refusal: "invalid-token"},
			"not with the suffix in another case": {header: text + "|NO_KEEPALIVE", refusal: "invalid-token"},
			"not with the suffix twice":           {header: text + "|no_keepalive|no_keepalive", refusal: "invalid-token"},
			"not cut":                             {header: text[:len(text)-1], refusal: "invalid-token"},
			"not with one character changed":      {header: text[:20] + swap(text[20]) + text[21:], refusal: "invalid-token"},
			"not in Authorization":                {refusal: "user-unauthenticated"},
			"an empty header and an empty query":  {header: "-", query: "", refusal: "user-unauthenticated"},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				headers := []string{"Authorization: Bearer " + text}
				if c.header != "" {
					headers = append(headers, with(strings.TrimPrefix(c.header, "-")))
				}
				a := s.Send(t, "GET", currentPath+"?token="+c.query, "", headers...)
				if c.refusal != "" {
					refused(t, a, http.StatusUnauthorized, c.refusal)
				} else if a.Status != http.StatusOK {
					t.Errorf("got\n%s", a)
				}
			})
		}
	}
}

func swap(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// deaths are the ways in which a good token ends, with the kind that the dialect has for each.
func deaths() map[string]struct {
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
		"its time is over":               {func(_ *testing.T, s *servertest.Service, _ string) { s.Advance(2 * time.Hour) }, "token-expired"},
		"its account is over":            {put(directory.User{ExpiresAt: time.Now().Add(-time.Second)}), "token-expired"},
		"its user is revoked":            {put(directory.User{Revoked: true}), "user-revoked"},
		"it is too old":                  {put(directory.User{TokensValidAfter: time.Now().Add(time.Minute)}), "token-revoked"},
		"all of its user's were revoked": {put(directory.User{TokensRevokedAt: time.Now().Add(time.Minute)}), "token-revoked"},
		"its user is another":            {put(directory.User{UID: servertest.UID("another")}), "token-revoked"},
		"its user is gone":               {func(_ *testing.T, s *servertest.Service, _ string) { s.Directory.Delete("gatehouse-users/alice") }, "token-revoked"},
		"it was revoked":                 {func(t *testing.T, s *servertest.Service, text string) { s.Send(t, "DELETE", revokePath+"/"+text, "") }, "token-revoked"},
		"it and its user are revoked":    {revokeBoth, "token-revoked"},
	}
}

func revokeBoth(t *testing.T, s *servertest.Service, text string) {
	s.Send(t, "DELETE", revokePath+"/"+text, "")
	s.Put(t, directory.User{Login: "alice", Revoked: true}, "right")
}

func TestAVoidTokenIsUnauthorizedAsCredentialAndForbiddenInQuestion(t *testing.T) {
	for name, c := range deaths() {
		for _, kind := range []string{"opaque", "labelled", "JWT"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				s := newService(t)
				text := map[string]string{
					"opaque": sealed(t, s, "alice", grant.Order{}), "labelled": sealed(t, s, "alice", grant.Order{Label: "x"}), "JWT": signed(t, s, "alice"),
				}[kind]
				question := object(t, "token", text)
				alive(t, s, text)
				if a := s.Send(t, "POST", authenticatePath, question); a.Status != http.StatusOK {
					t.Errorf("got\n%s", a)
				}
				c.end(t, s, text)
				dead(t, s, text, c.kind)
				refused(t, s.Send(t, "POST", generatePath, "", with(text)), http.StatusUnauthorized, c.kind)
				refused(t, s.Send(t, "DELETE", revokePath, "", with(text)), http.StatusUnauthorized, c.kind)
				refused(t, s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID("alice")+"/tokens", "", with(text)), http.StatusUnauthorized, c.kind)
				refused(t, s.Send(t, "POST", authenticatePath, question), http.StatusForbidden, c.kind)
			})
		}
	}
}
