// Package verify_test runs the package verify against the real service.
package verify_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
	"github.com/gatehouse-auth/gatehouse/verify"
)

func newService(t testing.TB) *servertest.Service {
	s := servertest.New(t, servertest.Options{OwnURL: true, PasswordCacheTTL: time.Minute})
	s.Put(t, directory.User{Login: "alice", DisplayName: "Alice", Groups: []string{"operators"}, Tenant: "team-a"}, "alice-secret")
	s.Put(t, directory.User{Login: "shop"}, "shop-secret")
	return s
}

// start returns a Verifier that is ready, and stops it before the service.
func start(t testing.TB, s *servertest.Service, change func(*verify.Config)) *verify.Verifier {
	t.Helper()
	c := verify.Config{Issuer: s.Issuer, CA: s.CA, Credentials: verify.Password("shop", "shop-secret")}
	if change != nil {
		change(&c)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	v, err := verify.New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := v.Ready(limit); err != nil {
		t.Fatal(err)
	}
	return v
}

func basic(login string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+login+"-secret"))
}

func issueJWT(t testing.TB, s *servertest.Service, login string) string {
	t.Helper()
	var body struct {
		Token string `json:"access_token"`
	}
	a := s.Send(t, "POST", "/v1/users/authorize", `{"ttl": 3600}`, basic(login), "Content-Type: application/json")
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || body.Token == "" {
		t.Fatalf("%v\n%s", err, a)
	}
	return body.Token
}

func issueOpaque(t testing.TB, s *servertest.Service, login string) string {
	t.Helper()
	var body struct{ Token string }
	a := s.Send(t, "POST", "/rbac-api/v1/auth/token", fmt.Sprintf(`{"login":%q,"password":%q}`, login, login+"-secret"), "Content-Type: application/json")
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || body.Token == "" {
		t.Fatalf("%v\n%s", err, a)
	}
	return body.Token
}

// eventually asks until the verdict on a token is want, and returns how long that took.
func eventually(t testing.TB, v *verify.Verifier, token string, want error) time.Duration {
	t.Helper()
	begun := time.Now()
	for {
		_, err := v.Verify(t.Context(), token)
		if errors.Is(err, want) || want == nil && err == nil {
			return time.Since(begun)
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("the verdict is %v, want %v", err, want)
		}
		<-time.After(time.Millisecond)
	}
}

func TestVerifierKnowsTheUserOfAGoodToken(t *testing.T) {
	s := newService(t)
	v := start(t, s, nil)
	for _, token := range []string{issueJWT(t, s, "alice"), issueOpaque(t, s, "alice")} {
		for range 2 {
			id, err := v.Verify(t.Context(), token)
			if err != nil || id.Login != "alice" || id.UID != servertest.UID("alice") || fmt.Sprint(id.Groups) != "[operators]" || id.Tenant != "team-a" || id.TokenID == "" {
				t.Errorf("%+v, %v", id, err)
			}
		}
	}
}

func TestVerifierRefusesWhatTheServiceRefuses(t *testing.T) {
	s := newService(t)
	token := issueJWT(t, s, "alice")
	parts := strings.Split(token, ".")
	v := start(t, s, nil)
	unsigned, err := jwt.New(jwt.SigningMethodNone).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty": "", "garbage": "x.y.z", "of another payload": parts[0] + "." + parts[1] + "A." + parts[2],
		"without a signature": parts[0] + "." + parts[1] + ".", "alg none": unsigned,
		"opaque and forged": "0" + strings.Repeat("A", 96), "long": strings.Repeat("a.b.", 9000),
	} {
		if _, err := v.Verify(t.Context(), bad); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("a token that is %s: %v", name, err)
		}
	}
	other := start(t, s, func(c *verify.Config) { c.Audience = "https://other.example.com" })
	for _, text := range []string{token, issueOpaque(t, s, "alice")} {
		if _, err := other.Verify(t.Context(), text); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("a token for another audience: %v", err)
		}
	}
}

func TestVerifierRefusesRevokedTokens(t *testing.T) {
	for name, revoke := range map[string]func(*servertest.Service, string){
		"one by one": func(s *servertest.Service, token string) {
			id, err := s.Tokens.Authenticate(t.Context(), token)
			if err != nil || s.Grants.Revoke(t.Context(), id.Claims) != nil {
				t.Fatal(err)
			}
		},
		"all of the user":  func(s *servertest.Service, _ string) { s.Directory.RevokeTokens(servertest.UID("alice"), s.Now()) },
		"the user deleted": func(s *servertest.Service, _ string) { s.Directory.Delete("gatehouse-users/alice") },
		"by a Revocation": func(s *servertest.Service, _ string) {
			s.Directory.PutRevocation(directory.Revocation{Key: "ns/stop", UserKey: "gatehouse-users/alice"}, s.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			v := start(t, s, nil)
			for _, issue := range []func(testing.TB, *servertest.Service, string) string{issueJWT, issueOpaque} {
				if _, ok := s.Directory.ByLogin("alice"); !ok {
					continue
				}
				token := issue(t, s, "alice")
				eventually(t, v, token, nil)
				revoke(s, token)
				took := eventually(t, v, token, verify.ErrRevoked)
				t.Logf("refused after %s", took)
				if took > 5*time.Second { // a request that waits ends after twice as long without a change
					t.Error("no change ends the wait of a verifier")
				}
				late := start(t, s, nil)
				if _, err := late.Verify(t.Context(), token); err == nil {
					t.Error("a Verifier that comes later accepts the token")
				}
				if name != "one by one" {
					break
				}
			}
		})
	}
}

func TestVerifierRefusesToGuess(t *testing.T) {
	s := newService(t)
	token := issueJWT(t, s, "alice")
	v := start(t, s, func(c *verify.Config) { c.MaximumStaleness = 4 * time.Second })
	heard := s.Directory.LastHeard()
	eventually(t, v, token, verify.ErrStale)
	if age := time.Since(heard); age < 2*time.Second { // an age is rounded up, by little more than a second
		t.Errorf("stale %s after the last sign of life", age)
	}
	s.Directory.Hear(s.Now())
	t.Logf("accepts tokens %s after the service is back", eventually(t, v, token, nil))
}

// A verifier gives no verdict on the tokens of a Tenant that the service cannot read, and others are
// not affected.
func TestVerifierRefusesToGuessAboutATenant(t *testing.T) {
	s := newService(t)
	v := start(t, s, nil)
	alice, shop := issueJWT(t, s, "alice"), issueJWT(t, s, "shop")
	unknown := func(tenants ...string) *directory.Outage {
		return &directory.Outage{Namespaces: map[string]bool{"elsewhere": true}, MayHave: func(string) bool { return false }, Tenants: tenants}
	}
	eventually(t, v, alice, nil)
	s.Directory.SetOutage(unknown("team-a"))
	eventually(t, v, alice, verify.ErrStale)
	eventually(t, v, shop, nil)
	late := start(t, s, nil)
	if _, err := late.Verify(t.Context(), alice); !errors.Is(err, verify.ErrStale) {
		t.Errorf("a verifier that starts now: %v", err)
	}
	s.Directory.SetOutage(unknown(""))
	eventually(t, v, shop, verify.ErrStale)
	eventually(t, v, alice, nil)
	s.Directory.SetOutage(nil)
	eventually(t, v, shop, nil)
}

func TestOpaqueTokenIsAskedAboutOnce(t *testing.T) {
	s := newService(t)
	v := start(t, s, nil)
	token := issueOpaque(t, s, "alice")
	before := len(s.Events())
	eventually(t, v, token, nil)
	asked := len(s.Events())
	for range 100 {
		eventually(t, v, token, nil)
	}
	if asked == before || len(s.Events()) != asked {
		t.Errorf("the first check causes %d events, 100 more cause %d", asked-before, len(s.Events())-asked)
	}
}

func TestMiddlewarePassesGoodTokensOnly(t *testing.T) {
	s := newService(t)
	var verdicts atomic.Int64
	v := start(t, s, func(c *verify.Config) { c.OnVerify = func(error) { verdicts.Add(1) } })
	h := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := verify.FromContext(r.Context())
		_, _ = io.WriteString(w, id.Login)
	}))
	ask := func(authorization string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := ask("Bearer " + issueJWT(t, s, "alice")); w.Code != http.StatusOK || w.Body.String() != "alice" {
		t.Errorf("a good token: %d %s", w.Code, w.Body)
	}
	for _, authorization := range []string{"", "Basic x", "Bearer x"} {
		if w := ask(authorization); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %d", authorization, w.Code)
		}
	}
	if n := verdicts.Load(); n != 2 {
		t.Errorf("%d verdicts, want 2", n)
	}
}

func TestNothingRunsAfterTheContextOfAVerifierEnds(t *testing.T) {
	s := newService(t)
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(context.Background())
	v, err := verify.New(ctx, verify.Config{Issuer: s.Issuer, CA: s.CA, Credentials: verify.Password("shop", "shop-secret")})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	// The service shares the process: its half of each connection, and what answers those who wait.
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*conn).serve"),
		goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"),
		goleak.IgnoreAnyFunction("github.com/gatehouse-auth/gatehouse/server/oauth.(*handler).attend"))
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]verify.Config{
		"no https": {Issuer: "http://x", Credentials: verify.Password("a", "b")}, "no credentials": {Issuer: "https://x"},
		"bad CA":  {Issuer: "https://x", Credentials: verify.Password("a", "b"), CA: []byte("x")},
		"bad age": {Issuer: "https://x", Credentials: verify.Password("a", "b"), MaximumStaleness: -1},
	} {
		if _, err := verify.New(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
