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

func TestSameLabelReturnsTheLiveToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ask := func(login, label string) string {
		return issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, login, "label", label, "lifetime", "2h")))
	}
	first := ask("alice", "ci job")
	for name, repeated := range map[string]string{
		"at once":                    ask("alice", "ci job"),
		"with white space around":    ask("alice", " \t\u2003ci job\u00a0\n"),
		"with another lifetime":      issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "ci job", "lifetime", "1m"))),
		"by the holder of the token": issuedToken(t, s.Send(t, "POST", generatePath, `{"label":"ci job"}`, tokenHeader(first))),
		"with another client":        issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "ci job", "client", "x"))),
	} {
		if repeated != first {
			t.Errorf("%s: got another token", name)
		}
	}
	for name, other := range map[string]string{
		"in another case":        ask("alice", "CI job"),
		"with more space within": ask("alice", "ci  job"),
		"of another user":        ask("bob", "ci job"),
		"without a label at all": issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice"))),
		"of exactly 200 letters": ask("alice", " "+strings.Repeat("é", 200)+" "),
		"of 200 surrogate pairs": ask("alice", strings.Repeat("𝄞", 200)),
	} {
		if other == first {
			t.Errorf("%s: got the same token", name)
		}
	}
	if a := s.Send(t, "POST", loginPath, jsonObject(t, "login", "alice", "password", "wrong", "label", "ci job")); a.Status != http.StatusUnauthorized {
		t.Errorf("a label works without the password:\n%s", a)
	}
}

func TestLabelOfDeadTokenReturnsANewOne(t *testing.T) {
	t.Parallel()
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
			old := issueOpaque(t, s, "alice", grant.Order{Label: "ci"})
			end(t, s, old)
			renewed := issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "ci")))
			if renewed == old {
				t.Error("the dead token is issued again")
			}
			assertAlive(t, s, renewed)
			if a := s.Send(t, "GET", currentPath, "", tokenHeader(old)); a.Status != http.StatusUnauthorized {
				t.Errorf("the old token is alive again:\n%s", a)
			}
		})
	}
}

func TestUserHasAtMost200Records(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var last string
	for i := range grant.MaximumRecords {
		s.Advance(time.Second)                         // the user may record five tokens a second
		order := grant.Order{Lifetime: 48 * time.Hour} // long tokens are recorded even without a label
		if i < grant.MaximumLabelled {
			order = grant.Order{Label: fmt.Sprint("label ", i), Lifetime: 2 * time.Hour}
		}
		last = issueOpaque(t, s, "alice", order)
	}
	for _, more := range [][]any{{"label", "one more"}, {"lifetime", "2d"}} {
		assertRefused(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", more...)), http.StatusConflict, "conflict")
		assertRefused(t, s.Send(t, "POST", generatePath, jsonObject(t, more...), tokenHeader(last)), http.StatusConflict, "conflict")
	}
	issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "label 7")))
	issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice")))
	issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "bob", "label", "one more")))
	if a := s.Send(t, "DELETE", revokePath+"/"+last, ""); a.Status != http.StatusNoContent {
		t.Fatalf("got\n%s", a)
	}
	assertRefused(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "one more")), http.StatusConflict, "conflict")
}

func TestUserHasAtMost100LabelledTokens(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var last string
	for i := range grant.MaximumLabelled {
		s.Advance(time.Second) // the user may record five tokens a second
		last = issueOpaque(t, s, "alice", grant.Order{Label: fmt.Sprint("label ", i), Lifetime: 2 * time.Hour})
	}
	assertRefused(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "one more")), http.StatusConflict, "conflict")
	issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "lifetime", "2d")))
	if a := s.Send(t, "DELETE", revokePath+"/"+last, ""); a.Status != http.StatusNoContent {
		t.Fatalf("got\n%s", a)
	}
	issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "one more")))
}

func TestTooManyWritesAreRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var a servertest.Answer
	for range grant.MaximumRecords {
		if a = s.Send(t, "POST", loginPath, loginBody(t, "alice", "lifetime", "2d")); a.Status != http.StatusOK {
			break
		}
	}
	assertRefused(t, a, http.StatusTooManyRequests, "too-many-requests")
	if a.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q in\n%s", a.Header.Get("Retry-After"), a)
	}
	issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice")))
	issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "bob", "label", "ci")))
}

func TestTextsAreAtMost1KiB(t *testing.T) {
	t.Parallel()
	s := newService(t)
	caller := tokenHeader(issueOpaque(t, s, "alice", grant.Order{}))
	for _, field := range []string{"description", "client"} {
		long, longest := strings.Repeat("x", grant.MaximumText+1), strings.Repeat("ß", grant.MaximumText/2)
		assertRefused(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "x", field, long)), http.StatusBadRequest, "schema-violation")
		assertRefused(t, s.Send(t, "POST", generatePath, jsonObject(t, "label", "x", field, long), caller), http.StatusBadRequest, "schema-violation")
		issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", field, field, longest)))
	}
}

func TestUnrecordedLabelIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Records.Fail(true)
	a := s.Send(t, "POST", loginPath, loginBody(t, "alice", "label", "ci"))
	assertRefused(t, a, http.StatusServiceUnavailable, "server-error")
	if a.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After in\n%s", a)
	}
	issuedToken(t, s.Send(t, "POST", loginPath, loginBody(t, "alice")))
}
