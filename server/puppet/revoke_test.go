package puppet_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/puppet"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// assertRevoked checks that everything was revoked.
func assertRevoked(t testing.TB, a servertest.Answer) {
	t.Helper()
	if a.Status != http.StatusNoContent || a.Body != "" {
		t.Errorf("want 204, got\n%s", a)
	}
}

func TestHolderOfATokenMayRevokeItRepeatedly(t *testing.T) {
	t.Parallel()
	s := newService(t)
	alice := tokenHeader(issueJWT(t, s, "alice"))
	for name, revoke := range map[string]func(text string) servertest.Answer{
		"by its path, without a credential": func(text string) servertest.Answer { return s.Send(t, "DELETE", revokePath+"/"+text, "") },
		"by its path, with a bad one": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath+"/"+text, "", tokenHeader("garbage"))
		},
		"by its path, with one in the query": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath+"/"+text+"?token=garbage", "")
		},
		"in the query": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath+"?revoke_tokens="+text+","+text, "", alice)
		},
		"in the body": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath, jsonObject(t, "revoke_tokens", []string{text, text}), alice)
		},
		"in both": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath+"?revoke_tokens="+text, jsonObject(t, "revoke_tokens", []string{text}), alice)
		},
		"in a body of another media type": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath, jsonObject(t, "revoke_tokens", []string{text}), alice, "Content-Type: application/x-www-form-urlencoded")
		},
		"as its own credential": func(text string) servertest.Answer {
			if a := s.Send(t, "DELETE", revokePath+"?token="+text+"&revoke_tokens="+text, ""); a.Status != http.StatusUnauthorized {
				return a
			}
			return servertest.Answer{Status: http.StatusNoContent} // the second time the token is not a valid credential
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{issueOpaque(t, s, "bob", grant.Order{}), issueOpaque(t, s, "bob", grant.Order{Label: name}), issueJWT(t, s, "bob")} {
				assertAlive(t, s, text)
				assertRevoked(t, revoke(text))
				assertDead(t, s, text, "token-revoked")
				assertRevoked(t, revoke(text))
				assertDead(t, s, text, "token-revoked")
			}
		})
	}
}

func TestRevokingADeadTokenSucceeds(t *testing.T) {
	t.Parallel()
	for name, c := range tokenEnds() {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			text := issueOpaque(t, s, "alice", grant.Order{})
			c.end(t, s, text)
			assertRevoked(t, s.Send(t, "DELETE", revokePath+"/"+text, ""))
		})
	}
	s := newService(t)
	text := issueOpaque(t, s, "alice", grant.Order{})
	s.Put(t, directory.User{Login: "alice", Revoked: true}, "right")
	assertRevoked(t, s.Send(t, "DELETE", revokePath+"/"+text, ""))
	s.Put(t, directory.User{Login: "alice"}, "right")
	assertDead(t, s, text, "token-revoked")
}

func TestQueryTakesListsSeparatedByCommas(t *testing.T) {
	t.Parallel()
	s := newService(t)
	alice := issueJWT(t, s, "alice")
	one, two, kept := issueOpaque(t, s, "alice", grant.Order{Label: "one"}), issueOpaque(t, s, "alice", grant.Order{Label: "two too"}), issueOpaque(t, s, "alice", grant.Order{Label: "kept"})
	three, four := issueOpaque(t, s, "bob", grant.Order{}), issueJWT(t, s, "bob")
	query := "?revoke_tokens_by_labels=" + url.QueryEscape("one, two too ,never given") + "&revoke_tokens=" + three + "&revoke_tokens=" + four
	assertRevoked(t, s.Send(t, "DELETE", revokePath+query, "", tokenHeader(alice)))
	for _, text := range []string{one, two, three, four} {
		assertDead(t, s, text, "token-revoked")
	}
	assertAlive(t, s, kept)
	assertAlive(t, s, alice)
}

func TestLabelRevokesOnlyTokensOfTheCaller(t *testing.T) {
	t.Parallel()
	s := newService(t)
	his, hers := issueOpaque(t, s, "bob", grant.Order{Label: "shared"}), issueOpaque(t, s, "alice", grant.Order{Label: "shared"})
	body := jsonObject(t, "revoke_tokens_by_labels", []string{"shared"})
	assertRevoked(t, s.Send(t, "DELETE", revokePath, body, tokenHeader(issueJWT(t, s, "admin"))))
	assertAlive(t, s, his)
	assertAlive(t, s, hers)
	assertRevoked(t, s.Send(t, "DELETE", revokePath, body, tokenHeader(issueJWT(t, s, "alice"))))
	assertAlive(t, s, his)
	assertDead(t, s, hers, "token-revoked")
}

func TestNameAndUUIDRevokeAllTokensOfAUser(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		caller, parameter string
		value             string
	}{
		"one's own by name":               {"alice", "revoke_tokens_by_usernames", "alice"},
		"one's own by UUID":               {"alice", "revoke_tokens_by_ids", servertest.UID("alice")},
		"one's own by UUID in upper case": {"alice", "revoke_tokens_by_ids", strings.ToUpper(servertest.UID("alice"))},
		"another's by an administrator":   {"admin", "revoke_tokens_by_usernames", "alice"},
		"another's by UUID":               {"admin", "revoke_tokens_by_ids", servertest.UID("alice")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			caller, bob := issueJWT(t, s, c.caller), issueJWT(t, s, "bob")
			tokens := []string{issueOpaque(t, s, "alice", grant.Order{}), issueOpaque(t, s, "alice", grant.Order{Label: "x"}), issueJWT(t, s, "alice")}
			assertRevoked(t, s.Send(t, "DELETE", revokePath, jsonObject(t, c.parameter, []string{c.value}), tokenHeader(caller)))
			for _, text := range tokens {
				assertDead(t, s, text, "token-revoked")
			}
			assertAlive(t, s, bob)
			s.Advance(time.Second)
			assertAlive(t, s, issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice"))))
		})
	}
}

// Two users may claim one login. The younger one does not hold it, so tokens of the younger user
// are void and cannot revoke those of the older one. Anyone who holds such a void token may still
// revoke it.
func TestLoginIsOwnOnlyWhileHeld(t *testing.T) {
	t.Parallel()
	s := newService(t)
	now := s.Now()
	s.Put(t, directory.User{Key: "gatehouse-users/older", UID: servertest.UID("older"), Login: "twin", Created: now.Add(-time.Hour)}, "right")
	younger := s.Put(t, directory.User{Key: "gatehouse-users/younger", UID: servertest.UID("younger"), Login: "twin", Created: now}, "right")
	older, other := issueOpaque(t, s, "twin", grant.Order{}), issueOpaque(t, s, "twin", grant.Order{})
	hidden, err := s.Grants.Opaque(t.Context(), younger, grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.Grants.Opaque(t.Context(), younger, grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	assertRefused(t, s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=twin", "", tokenHeader(hidden)), http.StatusUnauthorized, "token-revoked")
	assertAlive(t, s, older)
	assertRevoked(t, s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=twin", "", tokenHeader(older)))
	assertDead(t, s, other, "token-revoked")
	assertRevoked(t, s.Send(t, "DELETE", revokePath+"/"+hidden, ""))
	s.Directory.Delete("gatehouse-users/older")
	assertDead(t, s, hidden, "token-revoked")
	assertAlive(t, s, kept)
}

func TestIDRevokesOneToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	his, hers := issueOpaque(t, s, "bob", grant.Order{Label: "his"}), issueOpaque(t, s, "alice", grant.Order{Label: "hers"})
	unlabelled, jwt, admin := issueOpaque(t, s, "alice", grant.Order{}), issueJWT(t, s, "alice"), issueJWT(t, s, "admin")
	by := func(text string) string { return revokePath + "?revoke_tokens_by_ids=" + claims(t, s, text).ID }
	assertRevoked(t, s.Send(t, "DELETE", by(hers), "", tokenHeader(unlabelled)))
	assertDead(t, s, hers, "token-revoked")
	assertRevoked(t, s.Send(t, "DELETE", by(unlabelled), "", tokenHeader(unlabelled)))
	assertDead(t, s, unlabelled, "token-revoked")
	assertRevoked(t, s.Send(t, "DELETE", by(jwt), "", tokenHeader(jwt)))
	assertDead(t, s, jwt, "token-revoked")
	assertRevoked(t, s.Send(t, "DELETE", by(his), "", tokenHeader(admin)))
	assertDead(t, s, his, "token-revoked")
}

func TestOnlyPathFormNeedsNoCredential(t *testing.T) {
	t.Parallel()
	s := newService(t)
	text := issueOpaque(t, s, "alice", grant.Order{})
	assertRefused(t, s.Send(t, "DELETE", revokePath+"?revoke_tokens="+text, ""), http.StatusUnauthorized, "user-unauthenticated")
	assertAlive(t, s, text)
}

func TestUnrecordedRevocationIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	admin, text, labelled := tokenHeader(issueJWT(t, s, "admin")), issueOpaque(t, s, "alice", grant.Order{}), issueOpaque(t, s, "admin", grant.Order{Label: "x"})
	s.Records.Fail(true)
	for name, a := range map[string]servertest.Answer{
		"by path":         s.Send(t, "DELETE", revokePath+"/"+text, ""),
		"by token":        s.Send(t, "DELETE", revokePath+"?revoke_tokens=garbage,"+text, "", admin),
		"by name":         s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=alice", "", admin),
		"by label":        s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_labels=x", "", admin),
		"by a token's id": s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_ids="+claims(t, s, labelled).ID, "", admin),
		"by a user's id":  s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_ids="+servertest.UID("alice"), "", admin),
		"with mistakes":   s.Send(t, "DELETE", revokePath+"?x=1&revoke_tokens_by_usernames=nobody&revoke_tokens="+text, "", admin),
	} {
		t.Run(name, func(t *testing.T) { assertRefused(t, a, http.StatusServiceUnavailable, "server-error") })
	}
	assertAlive(t, s, text)
	assertAlive(t, s, labelled)
	s.Records.Fail(false)
	assertRevoked(t, s.Send(t, "DELETE", revokePath+"/"+text, ""))
	assertDead(t, s, text, "token-revoked")
}

// slowRecords takes six seconds to report that it cannot record a revocation.
type slowRecords struct {
	*servertest.Records
	attempts int
}

func (r *slowRecords) Revoke(context.Context, directory.Record) error {
	r.attempts++
	<-time.After(6 * time.Second)
	return grant.ErrUnavailable
}

// revokeWith calls the handler directly, for effects that cannot be observed over a connection.
func revokeWith(c puppet.Config, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	for _, route := range puppet.New(c).Routes {
		if route.Path == revokePath {
			route.Methods["DELETE"](w, r)
		}
	}
	return w
}

func TestLongFailingListEndsInTime(t *testing.T) {
	s := newService(t)
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		s.Advance(time.Until(start))
		records := &slowRecords{Records: s.Records}
		grants, c := s.Grants.Config, config(s)
		grants.Records = records
		c.Grants = grant.New(grants)
		var tokens []string
		for range 100 {
			tokens = append(tokens, issueOpaque(t, s, "bob", grant.Order{}))
		}
		r := httptest.NewRequestWithContext(t.Context(), "DELETE", revokePath+"?revoke_tokens_by_usernames=bob", strings.NewReader(jsonObject(t, "revoke_tokens", tokens)))
		r.Header.Set("X-Authentication", issueJWT(t, s, "alice"))
		started := time.Now()
		w := revokeWith(c, r)
		if took := time.Since(started); w.Code != http.StatusServiceUnavailable || took > 25*time.Second || records.attempts != 4 {
			t.Errorf("got %d after %s and %d attempts", w.Code, took, records.attempts)
		}
	})
}

func TestRevocationContinuesAfterHangup(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	one, two := issueOpaque(t, s, "alice", grant.Order{}), issueOpaque(t, s, "alice", grant.Order{})
	r := httptest.NewRequestWithContext(ctx, "DELETE", revokePath+"?revoke_tokens="+one+","+two, nil)
	r.Header.Set("X-Authentication", issueJWT(t, s, "alice"))
	revokeWith(config(s), r)
	assertDead(t, s, one, "token-revoked")
	assertDead(t, s, two, "token-revoked")
}

func TestRevocationsAreAudited(t *testing.T) {
	t.Parallel()
	s := newService(t)
	text := issueOpaque(t, s, "alice", grant.Order{})
	id := claims(t, s, text).ID
	assertRevoked(t, s.Send(t, "DELETE", revokePath+"/"+text, ""))
	assertRevoked(t, s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=bob", "", tokenHeader(issueJWT(t, s, "admin"))))
	var one, all bool
	for _, e := range s.Events() {
		one = one || e.Name == audit.Revoke && e.TokenID == id && e.UID == servertest.UID("alice") && e.Outcome == audit.Allowed
		all = all || e.Name == audit.RevokeUser && e.Login == "bob" && e.Outcome == audit.Allowed
	}
	if !one || !all {
		t.Errorf("audited: %+v", s.Events())
	}
}

func TestDeniedRequestsAreAudited(t *testing.T) {
	t.Parallel()
	s := newService(t)
	bob := servertest.UID("bob")
	id := claims(t, s, issueOpaque(t, s, "bob", grant.Order{})).ID
	caller := tokenHeader(issueJWT(t, s, "alice"))
	for _, c := range []struct {
		method, path string
		want         audit.Event
	}{
		{"DELETE", revokePath + "?revoke_tokens_by_usernames=bob", audit.Event{Name: audit.RevokeUser, Login: "bob"}},
		{"DELETE", revokePath + "?revoke_tokens_by_ids=" + bob, audit.Event{Name: audit.RevokeUser, UID: bob}},
		{"DELETE", revokePath + "?revoke_tokens_by_ids=" + id, audit.Event{Name: audit.Revoke, TokenID: id}},
		{"GET", "/rbac-api/v1/users/" + bob + "/tokens", audit.Event{Name: audit.List, UID: bob}},
	} {
		if a := s.Send(t, c.method, c.path, "", caller); a.Status != http.StatusForbidden {
			t.Errorf("%s: got status %d", c.path, a.Status)
		}
		events := s.Events()
		c.want.Outcome, c.want.Reason = audit.Refused, "permission_denied"
		c.want.Actor = audit.Account{Login: "alice", UID: servertest.UID("alice")}
		if last := events[len(events)-1]; last != c.want {
			t.Errorf("%s: got %+v, want %+v", c.path, last, c.want)
		}
	}
}

func TestListOfAnotherUserIsAudited(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID("bob")+"/tokens", "", tokenHeader(issueJWT(t, s, "admin")))
	events := s.Events()
	want := audit.Event{
		Name: audit.List, Outcome: audit.Allowed, Login: "bob", UID: servertest.UID("bob"),
		Actor: audit.Account{Login: "admin", UID: servertest.UID("admin")},
	}
	if last := events[len(events)-1]; last != want {
		t.Errorf("got %+v, want %+v", last, want)
	}
}
