package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/serve"
)

// The budget of one user, as the design states it: records, bytes of the state folder, and acts
// that write.
const (
	budgetRecords   = 200
	budgetBytes     = 2 << 20
	budgetBurst     = 128
	budgetPerSecond = 5
)

const budgetManifests = `
apiVersion: v1
kind: Secret
metadata: {name: budget}
stringData: {password: ` + userPassword + `}
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: mallory}
spec: {passwords: [{plaintextFrom: {secretKeyRef: {name: budget, key: password}}}]}
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: victim}
spec: {passwords: [{plaintextFrom: {secretKeyRef: {name: budget, key: password}}}]}
`

// standaloneService is a service on a folder of manifests.
type standaloneService struct {
	t    *testing.T
	base string
}

func startStandalone(t *testing.T, manifests, state string) *standaloneService {
	t.Helper()
	o := serve.NewOptions()
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress = "127.0.0.1:0", "127.0.0.1:0", "0"
	o.Manifests, o.StateDir, o.AllowHTTP, o.PrintCurl = manifests, state, true, ""
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	app, err := serve.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s := &standaloneService{t, "http://" + app.Address().String()}
	eventually(t, 30*time.Second, func() bool {
		status, _ := s.send(http.MethodGet, "/status/v1/simple", "", "")
		return status == http.StatusOK
	})
	return s
}

// send returns the status and the body of a response. Without a response the status is 0.
func (s *standaloneService) send(method, path, token, body string) (int, string) {
	r, err := http.NewRequestWithContext(context.Background(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("X-Authentication", token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func (s *standaloneService) login(login, more string) string {
	s.t.Helper()
	status, text := s.send(http.MethodPost, "/rbac-api/v1/auth/token", "", `{"login":"`+login+`","password":"`+userPassword+`"`+more+`}`)
	var response map[string]string
	if err := json.Unmarshal([]byte(text), &response); status != http.StatusOK || err != nil {
		s.t.Fatalf("log in as %s: got status %d, %s", login, status, text)
	}
	return response["token"]
}

// records returns the ids of the recorded tokens of the user of a token.
func (s *standaloneService) records(token string) []string {
	s.t.Helper()
	var user struct {
		ID string `json:"id"`
	}
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	_, text := s.send(http.MethodGet, "/rbac-api/v1/users/current", token, "")
	if err := json.Unmarshal([]byte(text), &user); err != nil {
		s.t.Fatal(err)
	}
	_, text = s.send(http.MethodGet, "/rbac-api/v1/users/"+user.ID+"/tokens", token, "")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		s.t.Fatal(err)
	}
	var ids []string
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

// TestBudgetOfOneUserStandalone lets one user create and revoke tokens with the longest texts, as
// fast as the service answers.
func TestBudgetOfOneUserStandalone(t *testing.T) {
	t.Parallel()
	manifests, state := t.TempDir(), filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(filepath.Join(manifests, "users.yaml"), []byte(budgetManifests), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStandalone(t, manifests, state)
	mallory, victim := s.login("mallory", ""), s.login("victim", "")
	start := time.Now()
	var mu sync.Mutex
	writes, refused := 0, 0
	var attack sync.WaitGroup
	for i := range 20 {
		attack.Go(func() {
			for n := range 100 {
				label := strings.Repeat("é", 180) + fmt.Sprint(i, " ", n)
				long := strings.Repeat("x", 1024)
				created, _ := s.send(http.MethodPost, "/rbac-api/v1/tokens", mallory,
					fmt.Sprintf(`{"label":%q,"description":%q,"client":%q,"lifetime":"0"}`, label, long, long))
				revoked, _ := s.send(http.MethodDelete, "/rbac-api/v2/tokens", mallory, fmt.Sprintf(`{"revoke_tokens_by_labels":[%q]}`, label))
				mu.Lock()
				for _, status := range []int{created, revoked} {
					switch status {
					case http.StatusOK, http.StatusNoContent:
						writes++
					case http.StatusTooManyRequests, http.StatusConflict:
						refused++
					default:
						t.Errorf("got status %d", status)
					}
				}
				mu.Unlock()
			}
		})
	}
	attack.Wait()
	elapsed := time.Since(start)
	if limit := budgetBurst + int(elapsed.Seconds()*budgetPerSecond) + 1; writes > limit || refused == 0 {
		t.Errorf("%d acts wrote within %s, want at most %d; %d were refused", writes, elapsed, limit, refused)
	}
	if n := len(s.records(mallory)); n > budgetRecords {
		t.Errorf("the attacker has %d records", n)
	}
	if size := sizeOf(t, state); size > budgetBytes {
		t.Errorf("the state folder has %d bytes, want at most %d", size, budgetBytes)
	}
	if status, text := s.send(http.MethodDelete, "/rbac-api/v2/tokens/"+victim, "", ""); status != http.StatusNoContent {
		t.Errorf("a revocation of another user: got status %d, %s", status, text)
	}
}

func sizeOf(t *testing.T, folder string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// TestLoginAfterRevocationGetsAGoodToken logs in right after all tokens of the user were revoked, at
// every route that issues one, over and over.
func TestLoginAfterRevocationGetsAGoodToken(t *testing.T) {
	t.Parallel()
	manifests := t.TempDir()
	if err := os.WriteFile(filepath.Join(manifests, "users.yaml"), []byte(budgetManifests), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStandalone(t, manifests, filepath.Join(t.TempDir(), "state"))
	logins := map[string]func() string{
		"puppet":   func() string { return s.login("victim", "") },
		"labelled": func() string { return s.login("victim", `,"label":"ci","lifetime":"2d"`) },
		"redis":    func() string { return s.issue("/v1/users/authorize", "") },
		"oauth":    func() string { return s.issue("/oauth2/token", "grant_type=client_credentials") },
	}
	for name, login := range logins {
		for range 2 {
			old := s.login("victim", "")
			if status, text := s.send(http.MethodDelete, "/rbac-api/v2/tokens?revoke_tokens_by_usernames=victim", old, ""); status != http.StatusNoContent {
				t.Fatalf("revoke all: got status %d, %s", status, text)
			}
			token := login()
			if status, text := s.send(http.MethodGet, "/rbac-api/v1/users/current", token, ""); status != http.StatusOK {
				t.Errorf("%s: the token of a login after a revocation: got status %d, %s", name, status, text)
			}
			if status, _ := s.send(http.MethodGet, "/rbac-api/v1/users/current", old, ""); status != http.StatusUnauthorized {
				t.Errorf("%s: the token from before the revocation: got status %d", name, status)
			}
		}
	}
}

// issue gets a JWT with the credentials of victim.
func (s *standaloneService) issue(path, form string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.base+path, strings.NewReader(form))
	if err != nil {
		s.t.Fatal(err)
	}
	r.SetBasicAuth("victim", userPassword)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: got status %d, %v", path, response.StatusCode, err)
	}
	token, _ := body["access_token"].(string)
	return token
}
