package foreign_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOAuth2Proxy(t *testing.T) {
	path := program(t, "oauth2-proxy")
	g, ada := newIssuer(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := map[string][]string{}
		for name, values := range r.Header {
			plain := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
			if strings.HasPrefix(plain, "x-forwarded-") || plain == "x-auth-user" {
				got[name] = values
			}
		}
		_ = json.NewEncoder(w).Encode(got)
	}))
	t.Cleanup(app.Close)
	address := freeAddress(t)
	certificate, key, roots := newCertificate(t)
	start(t, address, path, "--config", writeFile(t, "oauth2-proxy.cfg", docsBlock(t, "programs.md", "/etc/oauth2-proxy/oauth2-proxy.cfg",
		"https://auth.example.com", g.URL,
		":443", address,
		"/etc/oauth2-proxy/tls.crt", certificate,
		"/etc/oauth2-proxy/tls.key", key,
		"/etc/oauth2-proxy/gatehouse-ca.crt", writeFile(t, "ca.crt", string(g.CA)),
		"http://app.internal:8080", app.URL)), "--http-address", "-")
	p := newProxy(t, address, roots)

	jwt, opaque := login(t, g, ada.Login, adaPassword)
	forged := []string{
		"X-Forwarded-User: root", "X-Forwarded-Groups: admins", "X_Forwarded_User: root", "X_Forwarded_Groups: admins",
		"X-Forwarded-Email: root", "X-Forwarded-Preferred-Username: root",
	}
	t.Run("a JWT reaches the application under the name of the user, without forged headers", func(t *testing.T) {
		a := p.send(t, http.MethodGet, append(forged, "Authorization: Bearer "+jwt))
		var got map[string][]string
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Status != http.StatusOK {
			t.Fatalf("answered %d %s", a.Status, a.Body)
		}
		if fmt.Sprint(got["X-Forwarded-User"], got["X-Forwarded-Groups"]) != "[ada@example.com] [operators,developers]" {
			t.Errorf("the application got %v", got)
		}
		if strings.Contains(a.Body, "root") || strings.Contains(a.Body, "admins") {
			t.Errorf("the application got forged headers: %s", a.Body)
		}
	})
	t.Run("passes on X-Auth-User of a client, as the page says", func(t *testing.T) {
		a := p.send(t, http.MethodGet, []string{"X-Auth-User: mallory", "Authorization: Bearer " + jwt})
		if !strings.Contains(a.Body, "mallory") {
			t.Errorf("the application got %s", a.Body)
		}
	})
	t.Run("lets a client have its headers dropped, as the page says", func(t *testing.T) {
		a := p.send(t, http.MethodGet, []string{"Connection: X-Forwarded-User, X-Forwarded-Groups", "Authorization: Bearer " + jwt})
		if a.Status != http.StatusOK || strings.Contains(a.Body, "X-Forwarded-User") {
			t.Errorf("answered %d, and the application got %s", a.Status, a.Body)
		}
	})
	for name, headers := range map[string][]string{"no credentials": nil, "forged headers only": forged} {
		t.Run("asks for credentials with "+name, func(t *testing.T) { wantStatus(t, p, http.StatusUnauthorized, headers) })
	}
	for name, headers := range map[string][]string{
		"a token with another signature":   {"Authorization: Bearer " + jwt[:len(jwt)-4] + "AAAA"},
		"an opaque token":                  {"Authorization: Bearer " + opaque},
		"a password, which it cannot read": {basic(ada.Login, adaPassword)},
	} {
		t.Run("refuses "+name, func(t *testing.T) { wantStatus(t, p, http.StatusForbidden, headers) })
	}
	t.Run("sees no revocation, as the page says", func(t *testing.T) {
		revoke(t, g, jwt)
		wantStatus(t, p, http.StatusOK, []string{"Authorization: Bearer " + jwt})
	})
}

func wantStatus(t *testing.T, p proxy, status int, headers []string) {
	t.Helper()
	if a := p.send(t, http.MethodGet, headers); a.Status != status {
		t.Errorf("answered %d %s, want %d", a.Status, a.Body, status)
	}
}
