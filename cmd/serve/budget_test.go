package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
)

// The budget of one user, as the design states it.
const (
	budgetRecords     = 200
	budgetBurst       = 128
	budgetPerSecond   = 5
	budgetRecordBytes = 5 << 10
)

// attackers is how many connections of one user attack at once.
const attackers = 400

// TestBudgetOfOneUser lets one user create and revoke labelled tokens over 400 connections, as fast
// as the service answers. Meanwhile another user and an administrator revoke.
func TestBudgetOfOneUser(t *testing.T) {
	s := newStory(t)
	transport := s.http.Transport.(*http.Transport).Clone() //nolint:errcheck // newStory made it
	transport.MaxIdleConnsPerHost = attackers + 2
	s.http = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	mallory, victim := s.declareUser("mallory"), s.declareUser("victim")
	s.declareUser("root", "gatehouse-admins")
	var tokens []string
	for range 26 {
		tokens = append(tokens, s.opaqueOf("victim"))
	}
	administrator := s.opaqueOf("root")

	before, start := s.settledWrites(), time.Now()
	stop := make(chan struct{})
	var attack sync.WaitGroup
	var answers [600]atomic.Int64
	attacker := s.opaqueOf("mallory")
	for i := range attackers {
		attack.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				label := fmt.Sprintf("label %d of %d", n, i)
				body := fmt.Sprintf(`{"label":%q,"description":%q}`, label, strings.Repeat("x", grant.MaximumText))
				status, _ := s.as(attacker, http.MethodPost, "/rbac-api/v1/tokens", body)
				answers[status].Add(1)
				status, _ = s.as(attacker, http.MethodDelete, "/rbac-api/v2/tokens", `{"revoke_tokens_by_labels":[`+fmt.Sprintf("%q", label)+`]}`)
				answers[status].Add(1)
			}
		})
	}
	took := s.revokeEach(tokens[:20], func(token string) (int, string) {
		return s.as("", http.MethodDelete, "/rbac-api/v2/tokens/"+token, "")
	})
	s.revokeEach(tokens[20:], func(token string) (int, string) {
		return s.as(administrator, http.MethodDelete, "/rbac-api/v2/tokens", `{"revoke_tokens":["`+token+`"]}`)
	})
	close(stop)
	attack.Wait()
	elapsed := time.Since(start)
	after := s.settledWrites()

	slices.Sort(took)
	counts := map[int]int64{}
	for status := range answers {
		if n := answers[status].Load(); n > 0 {
			counts[status] = n
		}
	}
	t.Logf("answers to the attacker within %s: %v; the victim's revocations: median %s, longest %s", elapsed, counts, took[len(took)/2], took[len(took)-1])
	if counts[http.StatusTooManyRequests] == 0 {
		t.Error("the attacker was never told 429")
	}
	n, size := s.recordsOf(mallory)
	if n > budgetRecords || size > budgetRecords*budgetRecordBytes {
		t.Errorf("the attacker has %d records of %d bytes", n, size)
	}
	if n, _ := s.recordsOf(victim); n != len(tokens) {
		t.Errorf("%d records of the victim are stored, want %d", n, len(tokens))
	}
	// At most one write for each act that the limit allows: a record, or its revocation.
	writes := after["POST tokens"] + after["PATCH tokens"] - before["POST tokens"] - before["PATCH tokens"] - len(tokens)
	if limit := budgetBurst + int(budgetPerSecond*elapsed.Seconds()) + 1; writes > limit {
		t.Errorf("the attacker has caused %d writes within %s, want at most %d:\n%v\n%v", writes, elapsed, limit, before, after)
	}
	// Each revoked record says once when it is in force everywhere.
	revoked := len(tokens) + int(counts[http.StatusNoContent])
	if statuses := after["PATCH tokens/status"] - before["PATCH tokens/status"]; statuses > revoked {
		t.Errorf("%d revocations have caused %d writes of a status", revoked, statuses)
	}
}

// revokeEach revokes tokens one after the other and returns how long each took.
func (s *story) revokeEach(tokens []string, revoke func(string) (int, string)) []time.Duration {
	s.Helper()
	var took []time.Duration
	for _, token := range tokens {
		start := time.Now()
		if status, text := revoke(token); status != http.StatusNoContent {
			s.Errorf("a revocation: got status %d, %s", status, text)
		}
		took = append(took, time.Since(start))
	}
	return took
}

// as sends a request with a token.
func (s *story) as(token, method, path, body string) (int, string) {
	return s.send(method, path, body, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("X-Authentication", token)
		}
	})
}

// opaqueOf returns a new token of a user that declareUser has made.
func (s *story) opaqueOf(login string) string {
	s.Helper()
	status, text := s.as("", http.MethodPost, "/rbac-api/v1/auth/token", `{"login":"`+login+`","password":"`+storyPassword+`"}`)
	var response map[string]string
	if err := json.Unmarshal([]byte(text), &response); status != http.StatusOK || err != nil {
		s.Fatalf("log in as %s: got status %d, %s", login, status, text)
	}
	return response["token"]
}

// declareUser creates a User whose login is its name, and waits until it can log in.
func (s *story) declareUser(name string, groups ...string) *authv1alpha1.User {
	s.Helper()
	meta := metav1.ObjectMeta{Name: name, Namespace: "gatehouse-users"}
	secret := &corev1.Secret{ObjectMeta: meta, StringData: map[string]string{"password": storyPassword}}
	user := &authv1alpha1.User{ObjectMeta: meta, Spec: authv1alpha1.UserSpec{Login: name, Groups: groups, Passwords: []authv1alpha1.Password{{
		PlaintextFrom: &authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: name, Key: "password"}},
	}}}}
	for _, o := range []client.Object{secret, user} {
		if err := s.api.Create(s.Context(), o); err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { _ = s.api.Delete(context.Background(), o) })
	}
	s.eventually(name+" can log in", func() bool {
		status, _ := s.as("", http.MethodPost, "/rbac-api/v1/auth/token", `{"login":"`+name+`","password":"`+storyPassword+`"}`)
		return status == http.StatusOK
	})
	return user
}

// recordsOf returns how many Tokens of a user are stored, and how many bytes they have as JSON.
func (s *story) recordsOf(u *authv1alpha1.User) (n, size int) {
	s.Helper()
	var list authv1alpha1.TokenList
	if err := s.api.List(s.Context(), &list, client.InNamespace("gatehouse-users")); err != nil {
		s.Fatal(err)
	}
	for i := range list.Items {
		if list.Items[i].Spec.UserRef.UID == string(u.UID) {
			raw, err := json.Marshal(list.Items[i])
			if err != nil {
				s.Fatal(err)
			}
			n, size = n+1, size+len(raw)
		}
	}
	return n, size
}
