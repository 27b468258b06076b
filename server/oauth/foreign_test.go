package oauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// foreignContext returns a context for third-party clients. Their requests to the host of the
// issuer reach the service under test, although its certificate has another name.
func foreignContext(t *testing.T, s service) context.Context {
	trusting, ok := s.Client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the client has a %T", s.Client.Transport)
	}
	transport := trusting.Clone()
	transport.TLSClientConfig.ServerName = "example.com"
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(s.URL, "https://"))
	}
	t.Cleanup(transport.CloseIdleConnections)
	return context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: transport})
}

// payload returns the claims of a JWT without verifying its signature.
func payload(t testing.TB, text string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestGoOIDCVerifiesEveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{token.ES256, token.EdDSA, token.RS256} {
		t.Run(algorithm, func(t *testing.T) {
			s := newService(t)
			keys, err := token.Keys{}.Advance(s.Now(), token.Policy{Algorithm: algorithm, Interval: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			s.Keys.Use(keys)
			verifyThroughDiscovery(t, s)
		})
	}
}

// verifyThroughDiscovery does what a service that verifies tokens itself does.
func verifyThroughDiscovery(t *testing.T, s service) {
	t.Helper()
	ctx := foreignContext(t, s)
	provider, err := oidc.NewProvider(ctx, servertest.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := s.Grants.JWT(t.Context(), user(t, s, "alice"), 0)
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: servertest.Issuer})
	verified, err := verifier.Verify(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Groups []string }
	if err := verified.Claims(&claims); err != nil || verified.Subject != "alice" || len(claims.Groups) != 2 {
		t.Errorf("%v: %s in %v", err, verified.Subject, claims.Groups)
	}
	if _, err := verifier.Verify(ctx, text[:len(text)-8]+"AAAAAAAA"); err == nil {
		t.Error("a tampered token was verified")
	}
}

func TestXOAuth2GetsAToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		c := clientcredentials.Config{
			ClientID: oddLogin, ClientSecret: oddSecret, TokenURL: servertest.Issuer + tokenPath, Scopes: []string{"a", "b"}, AuthStyle: style,
		}
		got, err := c.Token(foreignContext(t, s))
		if err != nil {
			t.Fatal(err)
		}
		left := time.Until(got.Expiry)
		if sub := payload(t, got.AccessToken)["sub"]; sub != oddLogin || got.Type() != "Bearer" || left < 4*time.Minute || left > 5*time.Minute {
			t.Errorf("style %d: a %s token of %v for %s", style, got.Type(), sub, left)
		}
	}
}

func TestXOAuth2UsesThePasswordGrant(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ctx := foreignContext(t, s)
	provider, err := oidc.NewProvider(ctx, servertest.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	c := oauth2.Config{ClientID: "alice", ClientSecret: "alice-secret", Endpoint: provider.Endpoint()}
	got, err := c.PasswordCredentialsToken(ctx, "bob", "bob-secret")
	if err != nil {
		t.Fatal(err)
	}
	if sub := payload(t, got.AccessToken)["sub"]; sub != "bob" {
		t.Errorf("the token is of %v", sub)
	}
}
