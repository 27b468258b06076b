package integration_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestNginxForwardAuth(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx is not installed; Debian has it in nginx-light")
	}
	g := servertest.New(t, servertest.Options{PasswordCacheTTL: time.Minute, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	ada := directory.User{Login: "ada@example.com", Groups: []string{"operators", "developers"}}
	user := g.Put(t, ada, "correct horse")
	g.Put(t, directory.User{Login: "bob"}, "battery staple")
	jwt, opaque := issueTokens(t, g, user)
	app := startApplication(t)
	proxy := startNginx(t, g, app)

	forged := []string{"X-Auth-User: root", "X-Auth-Uid: 0", "X-Auth-Groups: gatehouse-admins", "X_Auth_User: root", "X.Auth.User: root"}
	for name, credentials := range map[string][]string{
		"a JWT":                       {"Authorization: Bearer " + jwt},
		"an opaque token":             {"X-Authentication: " + opaque},
		"a password":                  {"Authorization: Basic YWRhQGV4YW1wbGUuY29tOmNvcnJlY3QgaG9yc2U="},
		"a token, and forged headers": append(slices.Clone(forged), "Authorization: Bearer "+jwt),
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(method+" with "+name+" reaches the application under the user's name", func(t *testing.T) {
				proxy.passes(t, method, credentials, "ada@example.com "+user.UID+" [operators,developers] [] [] body of "+method)
			})
		}
	}
	t.Run("a user without groups cannot add any", func(t *testing.T) {
		proxy.passes(t, http.MethodGet, append(slices.Clone(forged), "Authorization: Basic Ym9iOmJhdHRlcnkgc3RhcGxl"),
			"bob "+servertest.UID("bob")+" [] [] [] body of GET")
	})
	for name, credentials := range map[string][]string{
		"without credentials":      nil,
		"with forged headers only": forged,
		"with a token of no user":  {"Authorization: Bearer garbage"},
		"with a wrong password":    {"Authorization: Basic YWRhQGV4YW1wbGUuY29tOndyb25n"},
	} {
		t.Run("refuses a request "+name, func(t *testing.T) { proxy.refuses(t, credentials) })
	}

	revoked := ada
	revoked.Revoked = true
	g.Put(t, revoked, "correct horse")
	for name, credentials := range map[string][]string{
		"a JWT":           {"Authorization: Bearer " + jwt},
		"an opaque token": {"X-Authentication: " + opaque},
		"a password":      {"Authorization: Basic YWRhQGV4YW1wbGUuY29tOmNvcnJlY3QgaG9yc2U="},
	} {
		t.Run("refuses "+name+" after the user is revoked", func(t *testing.T) { proxy.refuses(t, credentials) })
	}
}

// startApplication starts the application behind the proxy. It answers with the headers and the
// body that it gets.
func startApplication(t *testing.T) *httptest.Server {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header
		if h["X_auth_user"] != nil || h["X.auth.user"] != nil {
			http.Error(w, "some applications read these as the same header", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s %s", h.Get("X-Auth-User"), h.Get("X-Auth-Uid"), h["X-Auth-Groups"],
			h["Authorization"], h["X-Authentication"], body)
	}))
	t.Cleanup(app.Close)
	return app
}

// proxy is a running proxy in front of the application.
type proxy struct {
	url    string
	client *http.Client
}

// startNginx starts nginx with the configuration of docs/forward-auth.md until the test ends.
func startNginx(t *testing.T, g *servertest.Service, app *httptest.Server) proxy {
	t.Helper()
	address := freeAddress(t)
	certificate, key, roots := newCertificate(t)
	site := writeFile(t, "app.conf", docsBlock(t, "forward-auth.md", "/etc/nginx/conf.d/app.conf",
		"listen 443 ssl", "listen "+address+" ssl",
		"/etc/nginx/tls/tls.crt", certificate,
		"/etc/nginx/tls/tls.key", key,
		"/etc/nginx/gatehouse-ca.crt", writeFile(t, "ca.crt", string(g.CA)),
		"auth.example.com:443", strings.TrimPrefix(g.URL, "https://"),
		"proxy_ssl_name                auth.example.com", "proxy_ssl_name example.com",
		"app.internal:8080", strings.TrimPrefix(app.URL, "http://"),
	))
	dir := t.TempDir()
	config := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/errors;\nevents {}\nhttp {\n"+
		"access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;\n"+
		"uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;\ninclude %[2]s;\n}\n", dir, site)
	errors := filepath.Join(dir, "errors")
	nginx := exec.Command("nginx", "-p", dir, "-e", errors, "-c", writeFile(t, "nginx.conf", config))
	nginx.Stderr = os.Stderr
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Kill()
		_ = nginx.Wait()
		if text, err := os.ReadFile(errors); err == nil && t.Failed() {
			t.Logf("the error log of nginx:\n%s", text)
		}
	})
	eventually(t, 10*time.Second, func() bool {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = connection.Close()
		return true
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "app.example.com"}}
	t.Cleanup(transport.CloseIdleConnections)
	return proxy{url: "https://" + address, client: &http.Client{Transport: transport}}
}

// send sends a request through the proxy and returns the answer, of the application or of the
// proxy.
func (p proxy) send(t *testing.T, method string, headers []string) servertest.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.url+"/orders?id=1", strings.NewReader("body of "+method))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	response, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return servertest.Answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

// passes checks that a request reaches the application, which answers want.
func (p proxy) passes(t *testing.T, method string, headers []string, want string) {
	t.Helper()
	if a := p.send(t, method, headers); a.Status != http.StatusOK || a.Body != want {
		t.Errorf("answered %d %q, want 200 %q", a.Status, a.Body, want)
	}
}

// refuses checks that a request does not reach the application, and that the proxy asks the client
// for credentials.
func (p proxy) refuses(t *testing.T, headers []string) {
	t.Helper()
	a := p.send(t, http.MethodPost, headers)
	if a.Status != http.StatusUnauthorized || strings.Contains(a.Body, "body of") {
		t.Errorf("answered %d %q, want 401 from the proxy", a.Status, a.Body)
	}
	if challenge := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Basic ") {
		t.Errorf("the first challenge is %q, want Basic", challenge)
	}
}

// freeAddress returns an address at which no process listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// newCertificate makes a certificate for the proxy and returns the paths of certificate and key,
// and the roots that a client needs to trust it.
func newCertificate(t *testing.T) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	ca, err := authority.Authority{}.Advance(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Leaf([]string{"app.example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Bundle())
	certificate = writeFile(t, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]})))
	key = writeFile(t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return certificate, key, roots
}
