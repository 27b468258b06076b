package puppet_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestTheSameLabelGivesTheSameTokenWhileItLives(t *testing.T) {
	s := newService(t)
	ask := func(login, label string) string {
		return issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, login, "label", label, "lifetime", "2h")))
	}
	first := ask("alice", "ci job")
	for name, again := range map[string]string{
		"at once":                    ask("alice", "ci job"),
		"with white space around":    ask("alice", " \t\u2003ci job\u00a0\n"),
		"with another lifetime":      issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "alice", "label", "ci job", "lifetime", "1m"))),
		"by who holds a token of it": issuedBy(t, s.Send(t, "POST", generatePath, `{"label":"ci job"}`, with(first))),
		"by who holds a JWT":         issuedBy(t, s.Send(t, "POST", generatePath, `{"label":"ci job"}`, with(signed(t, s, "alice")))),
		"with another client":        issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "alice", "label", "ci job", "client", "x"))),
	} {
		if again != first {
			t.Errorf("%s: another token", name)
		}
	}
	for name, other := range map[string]string{
		"in another case":              ask("alice", "CI job"),
		"with more space within":       ask("alice", "ci  job"),
		"of another user":              ask("bob", "ci job"),
		"without a label at all":       issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "alice"))),
		"of exactly 200 letters":       ask("alice", " "+strings.Repeat("é", 200)+" "),
		"of 200 that UTF-16 has twice": ask("alice", strings.Repeat("𝄞", 200)),
	} {
		if other == first {
			t.Errorf("%s: the same token", name)
		}
	}
	if a := s.Send(t, "POST", loginPath, object(t, "login", "alice", "password", "wrong", "label", "ci job")); a.Status != http.StatusUnauthorized {
		t.Errorf("a label opens without the password:\n%s", a)
	}
}

func TestALabelWhoseTokenIsDeadGivesANewOne(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *servertest.Service, string){
		"revoked": func(t *testing.T, s *servertest.Service, text string) {
			s.Send(t, "DELETE", revokePath+"/"+text, "")
		},
		"ended": func(_ *testing.T, s *servertest.Service, _ string) { s.Advance(time.Hour) },
		"void": func(t *testing.T, s *servertest.Service, _ string) {
			s.Put(t, directory.User{Login: "alice", TokensValidAfter: s.Now()}, "right")
			s.Advance(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			old := sealed(t, s, "alice", grant.Order{Label: "ci"})
			end(t, s, old)
			renewed := issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "alice", "label", "ci")))
			if renewed == old {
				t.Error("the dead token is handed out again")
			}
			alive(t, s, renewed)
			if a := s.Send(t, "GET", currentPath, "", with(old)); a.Status != http.StatusUnauthorized {
				t.Errorf("the old token is alive again:\n%s", a)
			}
		})
	}
}

func TestAUserHasAtMostAHundredLiveTokensWithALabel(t *testing.T) {
	s := newService(t)
	var last string
	for i := range grant.MaximumLabelled {
		last = sealed(t, s, "alice", grant.Order{Label: fmt.Sprint("label ", i)})
	}
	more := credentials(t, "alice", "label", "one more")
	refused(t, s.Send(t, "POST", loginPath, more), http.StatusConflict, "conflict")
	refused(t, s.Send(t, "POST", generatePath, `{"label":"one more"}`, with(last)), http.StatusConflict, "conflict")
	issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "alice", "label", "label 7")))
	issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "alice")))
	issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "bob", "label", "one more")))
	if a := s.Send(t, "DELETE", revokePath+"/"+last, ""); a.Status != http.StatusNoContent {
		t.Fatalf("got\n%s", a)
	}
	issuedBy(t, s.Send(t, "POST", loginPath, more))
}

func TestALabelThatCannotBeKeptIsNotGiven(t *testing.T) {
	s := newService(t)
	s.Records.Fail(true)
	a := s.Send(t, "POST", loginPath, credentials(t, "alice", "label", "ci"))
	refused(t, a, http.StatusServiceUnavailable, "server-error")
	if a.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After in\n%s", a)
	}
	issuedBy(t, s.Send(t, "POST", loginPath, credentials(t, "alice")))
}
