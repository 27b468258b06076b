package serve

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// unlabelled is how many tokens are asked for, half of them at each login door.
const unlabelled = 10_000

// unlabelledTokensCostNoWrite counts by the API server's own metrics. status.lastTokenIssuedAt is the one thing that an issue
// changes: a note in memory, which a batch writes every ten minutes for users who had no token for an hour. So nothing is
// written while requests are answered, and nothing afterwards either for a user whose time is fresh, as this one's.
func (s *story) unlabelledTokensCostNoWrite(user *authv1alpha1.User) {
	s.Helper()
	s.showIssued(user)
	before := s.settledWrites()
	begun := time.Now()
	s.askForTokens()
	took := time.Since(begun)
	after := s.settledWrites()
	if !maps.Equal(before, after) {
		s.Fatalf("writes before and after %d tokens:\n%v\n%v", unlabelled, before, after)
	}
	s.Logf("%d tokens without a label in %s: no write to the API server", unlabelled, took.Round(time.Millisecond))
	s.member("token", "/rbac-api/v1/auth/token", `{"login":"`+storyLogin+`","password":"`+storyPassword+`","label":"counted"}`)
	if counted := s.settledWrites(); counted["POST tokens"] != after["POST tokens"]+1 {
		s.Errorf("writes before and after a token with a label:\n%v\n%v", after, counted)
	}
}

// showIssued lets status say that the user has just got a token, and waits until the service knows.
func (s *story) showIssued(user *authv1alpha1.User) {
	s.Helper()
	now := metav1.Now().UTC().Format(time.RFC3339)
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{"lastTokenIssuedAt":%q}}`, now))
	if err := s.api.Status().Patch(s.Context(), user, patch); err != nil {
		s.Fatal(err)
	}
	token := s.authorize()
	s.eventually(func() bool {
		_, text := s.send(http.MethodGet, "/rbac-api/v1/users/current", "", func(r *http.Request) { r.Header.Set("X-Authentication", token) })
		return strings.Contains(text, `"last_login":"`+now+`"`)
	})
}

func (s *story) askForTokens() {
	s.Helper()
	transport := s.http.Transport.(*http.Transport).Clone() //nolint:errcheck // newStory made it
	transport.MaxIdleConnsPerHost = 8
	defer transport.CloseIdleConnections()
	loaded := *s
	loaded.http = &http.Client{Transport: transport}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			path, body := "/v1/users/authorize", ""
			if worker%2 == 1 {
				path, body = "/rbac-api/v1/auth/token", `{"login":"`+storyLogin+`","password":"`+storyPassword+`"}`
			}
			for range unlabelled / 8 {
				if status, text := loaded.post(path, body); status != http.StatusOK {
					s.Errorf("%s: %d %s", path, status, text)
					return
				}
			}
		})
	}
	wg.Wait()
}

// settledWrites waits until two seconds pass without a write, and returns how many there were of each kind.
func (s *story) settledWrites() map[string]int {
	s.Helper()
	writes := s.writes()
	for settled := time.Now(); time.Since(settled) < 2*time.Second; time.Sleep(50 * time.Millisecond) {
		if now := s.writes(); !maps.Equal(now, writes) {
			writes, settled = now, time.Now()
		}
	}
	return writes
}

var (
	writing  = regexp.MustCompile(`^apiserver_request_total\{.*verb="(APPLY|CREATE|DELETE|DELETECOLLECTION|PATCH|POST|PUT|UPDATE)".*\} ([0-9.e+]+)$`)
	resource = regexp.MustCompile(`[{,]resource="([^"]*)"`)
)

// writes reads from the API server's metrics how many requests it had that write, by verb and resource. Leases are left out:
// the API server renews one of its own, and Gatehouse may not touch any.
func (s *story) writes() map[string]int {
	s.Helper()
	config := apitest.Config(s.T)
	administrator, err := rest.HTTPClientFor(config)
	if err != nil {
		s.Fatal(err)
	}
	defer administrator.CloseIdleConnections()
	answer, err := administrator.Get(strings.TrimSuffix(config.Host, "/") + "/metrics")
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.Fatalf("the metrics of the API server: %d, %v", answer.StatusCode, err)
	}
	counts := map[string]int{}
	for line := range strings.SplitSeq(string(text), "\n") {
		m, of := writing.FindStringSubmatch(line), resource.FindStringSubmatch(line)
		if m == nil || of == nil || of[1] == "leases" {
			continue
		}
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			s.Fatal(err)
		}
		counts[m[1]+" "+of[1]] += int(n)
	}
	return counts
}
