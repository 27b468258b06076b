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
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// unlabelledTokens is how many tokens the test requests, half of them from each login API.
const unlabelledTokens = 10_000

// TestUnlabelledTokensCauseNoWrites counts writes by the API server's own metrics. A token without
// a label changes only status.lastTokenIssuedAt. The service keeps that in memory, and a batch
// writes it every ten minutes for users who had no token for an hour. So the service writes nothing
// while it answers requests, and nothing afterwards for a user whose time is recent, as it is here.
func TestUnlabelledTokensCauseNoWrites(t *testing.T) {
	s := newStory(t)
	s.setLastTokenIssued(s.declare())
	before := s.settledWrites()
	start := time.Now()
	s.requestTokens()
	took := time.Since(start)
	after := s.settledWrites()
	if !maps.Equal(before, after) {
		s.Fatalf("writes before and after %d tokens:\n%v\n%v", unlabelledTokens, before, after)
	}
	s.Logf("%d tokens without a label in %s: no write to the API server", unlabelledTokens, took.Round(time.Millisecond))
	s.member("token", "/rbac-api/v1/auth/token", `{"login":"`+storyLogin+`","password":"`+storyPassword+`","label":"counted"}`)
	if counted := s.settledWrites(); counted["POST tokens"] != after["POST tokens"]+1 {
		s.Errorf("writes before and after a token with a label:\n%v\n%v", after, counted)
	}
}

// setLastTokenIssued sets the time of the last token in the status of a user to now, and waits
// until the service has read it.
func (s *story) setLastTokenIssued(user *authv1alpha1.User) {
	s.Helper()
	now := metav1.Now().UTC().Format(time.RFC3339)
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{"lastTokenIssuedAt":%q}}`, now))
	if err := s.api.Status().Patch(s.Context(), user, patch); err != nil {
		s.Fatal(err)
	}
	token := s.authorize()
	s.eventually("the service has the new status", func() bool {
		_, text := s.send(http.MethodGet, "/rbac-api/v1/users/current", "", func(r *http.Request) { r.Header.Set("X-Authentication", token) })
		return strings.Contains(text, `"last_login":"`+now+`"`)
	})
}

// requestTokens requests the tokens with eight concurrent clients.
func (s *story) requestTokens() {
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
			for range unlabelledTokens / 8 {
				if status, text := loaded.post(path, body); status != http.StatusOK {
					s.Errorf("%s: got status %d, %s", path, status, text)
					return
				}
			}
		})
	}
	wg.Wait()
}

// settledWrites waits until two seconds pass without a write, and returns how many there were of
// each kind.
func (s *story) settledWrites() map[string]int {
	s.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	writes, lastWrite := s.writes(), time.Now()
	for time.Since(lastWrite) < 2*time.Second {
		<-ticker.C
		if now := s.writes(); !maps.Equal(now, writes) {
			writes, lastWrite = now, time.Now()
		}
	}
	return writes
}

var (
	writeLine        = regexp.MustCompile(`^apiserver_request_total\{.*verb="(APPLY|CREATE|DELETE|DELETECOLLECTION|PATCH|POST|PUT|UPDATE)".*\} ([0-9.e+]+)$`)
	resourceLabel    = regexp.MustCompile(`[{,]resource="([^"]*)"`)
	subresourceLabel = regexp.MustCompile(`[{,]subresource="([^"]+)"`)
)

// writes returns the number of write requests in the metrics of the API server, by verb and
// resource, with its subresource as in "PATCH tokens/status". It leaves out leases: the API server renews one of its own, and Gatehouse may not touch
// any.
func (s *story) writes() map[string]int {
	s.Helper()
	config := apitest.Config(s.T)
	administrator, err := rest.HTTPClientFor(config)
	if err != nil {
		s.Fatal(err)
	}
	defer administrator.CloseIdleConnections()
	response, err := administrator.Get(strings.TrimSuffix(config.Host, "/") + "/metrics")
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.Fatalf("metrics of the API server: got status %d, error %v", response.StatusCode, err)
	}
	counts := map[string]int{}
	for line := range strings.SplitSeq(string(text), "\n") {
		write, resource := writeLine.FindStringSubmatch(line), resourceLabel.FindStringSubmatch(line)
		if write == nil || resource == nil || resource[1] == "leases" {
			continue
		}
		n, err := strconv.ParseFloat(write[2], 64)
		if err != nil {
			s.Fatal(err)
		}
		name := write[1] + " " + resource[1]
		if sub := subresourceLabel.FindStringSubmatch(line); sub != nil {
			name += "/" + sub[1]
		}
		counts[name] += int(n)
	}
	return counts
}
