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

// done checks that everything was carried out.
func done(t testing.TB, a servertest.Answer) {
	t.Helper()
	if a.Status != http.StatusNoContent || a.Body != "" {
		t.Errorf("want 204, got\n%s", a)
	}
}

func TestWhoHoldsAWholeTokenMayRevokeItAndAgain(t *testing.T) {
	s := newService(t)
	alice := with(signed(t, s, "alice"))
	for name, revoke := range map[string]func(text string) servertest.Answer{
		"by its path, without a credential": func(text string) servertest.Answer { return s.Send(t, "DELETE", revokePath+"/"+text, "") },
		"by its path, with a bad one": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath+"/"+text, "", with("garbage"))
		},
		"by its path, with one in the query": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath+"/"+text+"?token=garbage", "")
		},
		"in the query": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath+"?revoke_tokens="+text+","+text, "", alice)
		},
		"in the body": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath, object(t, "revoke_tokens", []string{text, text}), alice)
		},
		"in both": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath+"?revoke_tokens="+text, object(t, "revoke_tokens", []string{text}), alice)
		},
		"in a body of another media type": func(text string) servertest.Answer {
			return s.Send(t, "DELETE", revokePath, object(t, "revoke_tokens", []string{text}), alice, "Content-Type: application/x-www-form-urlencoded")
		},
		"as its own credential": func(text string) servertest.Answer {
			if a := s.Send(t, "DELETE", revokePath+"?token="+text+"&revoke_tokens="+text, ""); a.Status != http.StatusUnauthorized {
				return a
			}
			return servertest.Answer{Status: http.StatusNoContent} // the second time it is no credential any more
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{sealed(t, s, "bob", grant.Order{}), sealed(t, s, "bob", grant.Order{Label: name}), signed(t, s, "bob")} {
				alive(t, s, text)
				done(t, revoke(text))
				dead(t, s, text, "token-revoked")
				done(t, revoke(text))
				dead(t, s, text, "token-revoked")
			}
		})
	}
}

func TestRevokingATokenThatIsDeadAlreadyIsDone(t *testing.T) {
	for name, c := range deaths() {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			text := sealed(t, s, "alice", grant.Order{})
			c.end(t, s, text)
			done(t, s.Send(t, "DELETE", revokePath+"/"+text, ""))
		})
	}
	s := newService(t)
	text := sealed(t, s, "alice", grant.Order{})
	s.Put(t, directory.User{Login: "alice", Revoked: true}, "right")
	done(t, s.Send(t, "DELETE", revokePath+"/"+text, ""))
	s.Put(t, directory.User{Login: "alice"}, "right")
	dead(t, s, text, "token-revoked")
}

func TestSeveralLabelsAndTokensAreSeparatedByCommasInTheQuery(t *testing.T) {
	s := newService(t)
	alice := signed(t, s, "alice")
	one, two, kept := sealed(t, s, "alice", grant.Order{Label: "one"}), sealed(t, s, "alice", grant.Order{Label: "two too"}), sealed(t, s, "alice", grant.Order{Label: "kept"})
	three, four := sealed(t, s, "bob", grant.Order{}), signed(t, s, "bob")
	query := "?revoke_tokens_by_labels=" + url.QueryEscape("one, two too ,never given") + "&revoke_tokens=" + three + "&revoke_tokens=" + four
	done(t, s.Send(t, "DELETE", revokePath+query, "", with(alice)))
	for _, text := range []string{one, two, three, four} {
		dead(t, s, text, "token-revoked")
	}
	alive(t, s, kept)
	alive(t, s, alice)
}

func TestALabelReachesTheCallersOwnTokensOnly(t *testing.T) {
	s := newService(t)
	his, hers := sealed(t, s, "bob", grant.Order{Label: "shared"}), sealed(t, s, "alice", grant.Order{Label: "shared"})
	body := object(t, "revoke_tokens_by_labels", []string{"shared"})
	done(t, s.Send(t, "DELETE", revokePath, body, with(signed(t, s, "admin"))))
	alive(t, s, his)
	alive(t, s, hers)
	done(t, s.Send(t, "DELETE", revokePath, body, with(signed(t, s, "alice"))))
	alive(t, s, his)
	dead(t, s, hers, "token-revoked")
}

func TestByNameAndByUUIDEveryTokenOfAUserIsRevoked(t *testing.T) {
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
			caller, bob := signed(t, s, c.caller), signed(t, s, "bob")
			tokens := []string{sealed(t, s, "alice", grant.Order{}), sealed(t, s, "alice", grant.Order{Label: "x"}), signed(t, s, "alice")}
			done(t, s.Send(t, "DELETE", revokePath, object(t, c.parameter, []string{c.value}), with(caller)))
			for _, text := range tokens {
				dead(t, s, text, "token-revoked")
			}
			alive(t, s, bob)
			s.Advance(time.Second)
			alive(t, s, issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "alice"))))
		})
	}
}

// Two users may claim one login. The tokens of the younger, who does not hold it, open nothing, so
// they cannot end what is the older one's. Each may still be revoked by who holds it.
func TestALoginIsOnesOwnOnlyWhileOneHoldsIt(t *testing.T) {
	s := newService(t)
	now := s.Now()
	s.Put(t, directory.User{Key: "gatehouse-users/older", UID: servertest.UID("older"), Login: "twin", Created: now.Add(-time.Hour)}, "right")
	younger := s.Put(t, directory.User{Key: "gatehouse-users/younger", UID: servertest.UID("younger"), Login: "twin", Created: now}, "right")
	older, other := sealed(t, s, "twin", grant.Order{}), sealed(t, s, "twin", grant.Order{})
	hidden, err := s.Grants.Opaque(t.Context(), younger, grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.Grants.Opaque(t.Context(), younger, grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=twin", "", with(hidden)), http.StatusUnauthorized, "token-revoked")
	alive(t, s, older)
	done(t, s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=twin", "", with(older)))
	dead(t, s, other, "token-revoked")
	done(t, s.Send(t, "DELETE", revokePath+"/"+hidden, ""))
	s.Directory.Delete("gatehouse-users/older")
	dead(t, s, hidden, "token-revoked")
	alive(t, s, kept)
}

func TestATokenIsRevokedByItsID(t *testing.T) {
	s := newService(t)
	his, hers := sealed(t, s, "bob", grant.Order{Label: "his"}), sealed(t, s, "alice", grant.Order{Label: "hers"})
	unlabelled, jwt, admin := sealed(t, s, "alice", grant.Order{}), signed(t, s, "alice"), signed(t, s, "admin")
	by := func(text string) string { return revokePath + "?revoke_tokens_by_ids=" + claims(t, s, text).ID }
	done(t, s.Send(t, "DELETE", by(hers), "", with(unlabelled)))
	dead(t, s, hers, "token-revoked")
	done(t, s.Send(t, "DELETE", by(unlabelled), "", with(unlabelled)))
	dead(t, s, unlabelled, "token-revoked")
	done(t, s.Send(t, "DELETE", by(jwt), "", with(jwt)))
	dead(t, s, jwt, "token-revoked")
	done(t, s.Send(t, "DELETE", by(his), "", with(admin)))
	dead(t, s, his, "token-revoked")
}

func TestOnlyThePathFormWorksWithoutACredential(t *testing.T) {
	s := newService(t)
	text := sealed(t, s, "alice", grant.Order{})
	refused(t, s.Send(t, "DELETE", revokePath+"?revoke_tokens="+text, ""), http.StatusUnauthorized, "user-unauthenticated")
	alive(t, s, text)
}

func TestARevocationThatCannotBeKeptIsNotAnsweredAsDone(t *testing.T) {
	s := newService(t)
	admin, text, labelled := with(signed(t, s, "admin")), sealed(t, s, "alice", grant.Order{}), sealed(t, s, "admin", grant.Order{Label: "x"})
	s.Records.Fail(true)
	for name, a := range map[string]servertest.Answer{
		"by path":          s.Send(t, "DELETE", revokePath+"/"+text, ""),
		"by token":         s.Send(t, "DELETE", revokePath+"?revoke_tokens=garbage,"+text, "", admin),
		"by name":          s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=alice", "", admin),
		"by label":         s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_labels=x", "", admin),
		"by a token's id":  s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_ids="+claims(t, s, labelled).ID, "", admin),
		"by a user's id":   s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_ids="+servertest.UID("alice"), "", admin),
		"beside what's no": s.Send(t, "DELETE", revokePath+"?x=1&revoke_tokens_by_usernames=nobody&revoke_tokens="+text, "", admin),
	} {
		t.Run(name, func(t *testing.T) { refused(t, a, http.StatusServiceUnavailable, "server-error") })
	}
	alive(t, s, text)
	alive(t, s, labelled)
	s.Records.Fail(false)
	done(t, s.Send(t, "DELETE", revokePath+"/"+text, ""))
	dead(t, s, text, "token-revoked")
}

// slowRecords take six seconds to say that nothing can be kept.
type slowRecords struct {
	*servertest.Records
	asked int
}

func (r *slowRecords) Revoke(context.Context, directory.Record) error {
	r.asked++
	time.Sleep(6 * time.Second)
	return grant.ErrUnavailable
}

// revokeWith hands a request to the door itself, for what cannot be seen over a connection.
func revokeWith(c puppet.Config, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	for _, route := range puppet.New(c).Routes {
		if route.Path == revokePath {
			route.Methods["DELETE"](w, r)
		}
	}
	return w
}

func TestALongListThatCannotBeRevokedIsAnsweredInTime(t *testing.T) {
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
			tokens = append(tokens, sealed(t, s, "bob", grant.Order{}))
		}
		r := httptest.NewRequestWithContext(t.Context(), "DELETE", revokePath+"?revoke_tokens_by_usernames=bob", strings.NewReader(object(t, "revoke_tokens", tokens)))
		r.Header.Set("X-Authentication", signed(t, s, "alice"))
		begun := time.Now()
		w := revokeWith(c, r)
		if took := time.Since(begun); w.Code != http.StatusServiceUnavailable || took > 25*time.Second || records.asked != 4 {
			t.Errorf("answered %d after %s and %d attempts", w.Code, took, records.asked)
		}
	})
}

func TestAClientThatHangsUpDoesNotStopItsRevocation(t *testing.T) {
	s := newService(t)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	one, two := sealed(t, s, "alice", grant.Order{}), sealed(t, s, "alice", grant.Order{})
	r := httptest.NewRequestWithContext(ctx, "DELETE", revokePath+"?revoke_tokens="+one+","+two, nil)
	r.Header.Set("X-Authentication", signed(t, s, "alice"))
	revokeWith(config(s), r)
	dead(t, s, one, "token-revoked")
	dead(t, s, two, "token-revoked")
}

func TestEveryRevocationIsAudited(t *testing.T) {
	s := newService(t)
	text := sealed(t, s, "alice", grant.Order{})
	id := claims(t, s, text).ID
	done(t, s.Send(t, "DELETE", revokePath+"/"+text, ""))
	done(t, s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=bob", "", with(signed(t, s, "admin"))))
	var one, all bool
	for _, e := range s.Events() {
		one = one || e.Name == audit.Revoke && e.TokenID == id && e.UID == servertest.UID("alice") && e.Outcome == audit.Allowed
		all = all || e.Name == audit.RevokeUser && e.Login == "bob" && e.Outcome == audit.Allowed
	}
	if !one || !all {
		t.Errorf("audited were %+v", s.Events())
	}
}
