package puppet_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// The refusal does not reveal whether the name or the ID exists.
func TestNamesAndIDsOfOthersAreDenied(t *testing.T) {
	t.Parallel()
	s := newService(t)
	alice, bob := issueOpaque(t, s, "alice", grant.Order{}), issueOpaque(t, s, "bob", grant.Order{Label: "his"})
	id := claims(t, s, bob).ID
	for parameter, values := range map[string][]string{
		"revoke_tokens_by_usernames": {"bob", "nobody", "Alice"},
		"revoke_tokens_by_ids":       {id, token.NewID(), servertest.UID("bob"), servertest.UID("nobody")},
	} {
		denied := strings.Replace(parameter, "revoke_tokens_by_", "permission_denied_", 1)
		a := s.Send(t, "DELETE", revokePath, jsonObject(t, parameter, values), tokenHeader(alice))
		assertRevocationRefused(t, a, http.StatusForbidden, "permission-denied", denied, values, "other_tokens_revoked", false)
	}
	assertAlive(t, s, bob)
}

func TestMistakesAreReportedAndTheRestIsRevoked(t *testing.T) {
	t.Parallel()
	unknown, nobody := token.NewID(), servertest.UID("nobody")
	long := strings.Repeat("x", 256)
	for name, c := range map[string]struct {
		caller  string
		query   string
		members []any
		status  int
		kind    string
		details []any
	}{
		"malformed tokens": {"alice", "", []any{"revoke_tokens", []string{"garbage", "", "garbage"}}, 400, "malformed-token-request",
			[]any{"malformed_tokens", []string{"garbage", ""}}},
		"malformed tokens of the query": {"alice", "?revoke_tokens=a,,b", nil, 400, "malformed-token-request",
			[]any{"malformed_tokens", []string{"a", "", "b"}}},
		"malformed labels": {"alice", "", []any{"revoke_tokens_by_labels", []string{"a,b", " ", "a\nb", strings.Repeat("é", 201)}}, 400, "malformed-token-request",
			[]any{"malformed_labels", []string{"a,b", " ", "a\nb", strings.Repeat("é", 201)}}},
		"malformed logins": {"admin", "", []any{"revoke_tokens_by_usernames", []string{"", "a\nb", "a:b", long}}, 400, "malformed-token-request",
			[]any{"malformed_usernames", []string{"", "a\nb", "a:b", long}}},
		"malformed logins without permission": {"alice", "", []any{"revoke_tokens_by_usernames", []string{long}}, 400, "malformed-token-request",
			[]any{"malformed_usernames", []string{long}}},
		"unknown logins": {"admin", "", []any{"revoke_tokens_by_usernames", []string{"nobody", strings.Repeat("é", 255)}}, 400, "malformed-token-request",
			[]any{"nonexistent_usernames", []string{"nobody", strings.Repeat("é", 255)}}},
		"malformed and unknown ids": {"admin", "", []any{"revoke_tokens_by_ids", []string{"no id", unknown, nobody}}, 400, "malformed-token-request",
			[]any{"malformed_ids", []string{"no id", unknown, nobody}}},
		"malformed ids without permission": {"alice", "?revoke_tokens_by_ids=x", nil, 400, "malformed-token-request",
			[]any{"malformed_ids", []string{"x"}}},
		"unrecognized parameters": {"alice", "?revoke_label=x&token=garbage", []any{"revoke_everything", true, "token", nil}, 400, "malformed-token-request",
			[]any{"unrecognized_parameters", []string{"revoke_label", "revoke_everything", "token"}}},
		"denied before malformed": {"alice", "?x=1&revoke_tokens=y", []any{"revoke_tokens_by_usernames", []string{"bob"}, "revoke_tokens_by_ids", []string{nobody}}, 403, "permission-denied",
			[]any{"permission_denied_usernames", []string{"bob"}, "permission_denied_ids", []string{nobody}, "malformed_tokens", []string{"y"}, "unrecognized_parameters", []string{"x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			caller, good := issueJWT(t, s, c.caller), issueOpaque(t, s, "bob", grant.Order{})
			a := s.Send(t, "DELETE", revokePath+c.query, jsonObject(t, c.members...), tokenHeader(caller))
			assertRevocationRefused(t, a, c.status, c.kind, append(c.details, "other_tokens_revoked", false)...)
			assertAlive(t, s, good)

			and := "?"
			if c.query != "" {
				and = "&"
			}
			a = s.Send(t, "DELETE", revokePath+c.query+and+"revoke_tokens="+good, jsonObject(t, c.members...), tokenHeader(caller))
			assertRevocationRefused(t, a, c.status, c.kind, append(c.details, "other_tokens_revoked", true)...)
			assertDead(t, s, good, "token-revoked")
		})
	}
}

func TestMalformedRevocationRevokesNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	good := issueOpaque(t, s, "alice", grant.Order{})
	for name, c := range map[string]struct{ query, body string }{
		"nothing at all":                     {},
		"an empty object":                    {body: `{}`},
		"empty lists":                        {"?revoke_tokens=&revoke_tokens_by_labels=", `{"revoke_tokens":[],"revoke_tokens_by_ids":[]}`},
		"the credential alone":               {"?token=x", ""},
		"a list that is a string":            {"?revoke_tokens=" + good, `{"revoke_tokens":"x"}`},
		"a list that is a number":            {"?revoke_tokens=" + good, `{"revoke_tokens":5}`},
		"a list of null":                     {"?revoke_tokens=" + good, `{"revoke_tokens_by_labels":null}`},
		"a list with a number":               {"?revoke_tokens=" + good, `{"revoke_tokens":["` + good + `",5]}`},
		"a list with null":                   {"?revoke_tokens=" + good, `{"revoke_tokens":[null]}`},
		"an object for a list":               {"?revoke_tokens=" + good, `{"revoke_tokens":{"0":"x"}}`},
		"a body that is a list":              {"?revoke_tokens=" + good, `["` + good + `"]`},
		"a body of null":                     {"?revoke_tokens=" + good, `null`},
		"a body that does not end":           {"?revoke_tokens=" + good, `{"revoke_tokens":[`},
		"a form":                             {"?revoke_tokens=" + good, `revoke_tokens=x`},
		"white space":                        {"?revoke_tokens=" + good, ` `},
		"a key twice":                        {"?revoke_tokens=" + good, `{"revoke_tokens":[],"revoke_tokens":[]}`},
		"a query that cannot be decoded":     {"?revoke_tokens=" + good + "&x=%zz", ""},
		"a semicolon in the query":           {"?revoke_tokens=" + good + ";x=1", ""},
		"a query of invalid UTF-8":           {"?revoke_tokens=" + good + "&revoke_tokens_by_labels=%ff", ""},
		"a parameter of invalid UTF-8":       {"?revoke_tokens=" + good + "&%c3=%a9", ""},
		"the name of another user beside it": {"?revoke_tokens_by_usernames=bob", `{"revoke_tokens":5}`},
		"an unknown field of any content":    {"?revoke_tokens=" + good, `{"x":[}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, "DELETE", revokePath+c.query, c.body, tokenHeader(good))
			assertRefused(t, a, http.StatusBadRequest, "malformed-token-request")
			if !strings.Contains(a.Body, `No tokens were revoked."`) {
				t.Errorf("the message does not say that nothing was revoked:\n%s", a)
			}
			assertAlive(t, s, good)
		})
	}
	assertRefused(t, s.Send(t, "DELETE", revokePath, strings.Repeat(" ", 65537), tokenHeader(good)), http.StatusRequestEntityTooLarge, "request-too-large")
}

func TestPathFormHasNoParameters(t *testing.T) {
	t.Parallel()
	s := newService(t)
	text := issueOpaque(t, s, "alice", grant.Order{})
	a := s.Send(t, "DELETE", revokePath+"/garbage?token=x", "")
	assertRevocationRefused(t, a, http.StatusBadRequest, "malformed-token-request", "malformed_tokens", []string{"garbage"}, "other_tokens_revoked", false)
	assertRefused(t, s.Send(t, "DELETE", revokePath+"/"+text, `{`), http.StatusBadRequest, "malformed-token-request")
	assertRefused(t, s.Send(t, "DELETE", revokePath+"/"+text+"?%zz", ``), http.StatusBadRequest, "malformed-token-request")
	assertAlive(t, s, text)
	assertRefused(t, s.Send(t, "DELETE", revokePath+"/", ""), http.StatusNotFound, "not-found")
	a = s.Send(t, "DELETE", revokePath+"/"+text+"?revoke_tokens_by_usernames=bob", `{"x":1}`)
	assertRevocationRefused(t, a, http.StatusBadRequest, "malformed-token-request", "unrecognized_parameters", []string{"revoke_tokens_by_usernames", "x"}, "other_tokens_revoked", true)
	assertDead(t, s, text, "token-revoked")
}
