package foreign_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const (
	adaPassword = "correct horse"
	bobPassword = "battery staple"
	// appProxyPassword is that of the user app-proxy, for proxies that need one.
	appProxyPassword = "tick tock"
	// clientAddress is where the clients of proxies are, and forgedAddress where they pretend to be.
	clientAddress, clientNetwork, forgedAddress = "127.1.0.1", "127.1.0.", "203.0.113.9"
)

// forged are the headers of a client that pretends to be someone else.
func forged() []string {
	return []string{"X-Auth-User: root", "X-Auth-Uid: 0", "X-Auth-Groups: gatehouse-admins", "X-Auth-Tenant: root", "X-Forwarded-For: " + forgedAddress}
}

// misspelled are forged headers that applications take for the same ones if they read headers as CGI
// variables.
func misspelled() []string {
	var headers []string
	for _, separators := range []string{"-_", "-.", "_-", "__", "_.", ".-", "._", ".."} {
		for name, value := range map[string]string{"User": "root", "Uid": "0", "Groups": "gatehouse-admins", "Tenant": "root"} {
			headers = append(headers, "X"+separators[:1]+"Auth"+separators[1:]+name+": "+value)
		}
	}
	return headers
}

// request is what the application behind a proxy gets.
type request struct {
	Identity map[string][]string // headers that an application may take for X-Auth-*, by the name on the wire
	Secrets  []string            // values of Authorization and X-Authentication
	Body     string
}

// startApplication starts the application behind the proxy. It answers with what it gets.
func startApplication(t *testing.T) *httptest.Server {
	t.Helper()
	identity := regexp.MustCompile(`(?i)^x[^a-z0-9]auth[^a-z0-9](user|uid|groups|tenant)$`)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := request{Identity: map[string][]string{}, Body: string(body)}
		for name, values := range r.Header {
			if identity.MatchString(name) {
				got.Identity[name] = values
			}
		}
		got.Secrets = slices.Concat(r.Header["Authorization"], r.Header["X-Authentication"])
		_ = json.NewEncoder(w).Encode(got)
	}))
	t.Cleanup(app.Close)
	return app
}

// proxy is a running proxy in front of the application.
type proxy struct {
	proxies
	url    string
	client *http.Client
	http2  *http.Client
}

// proxies are those of one program with one configuration.
type proxies struct {
	// start starts a proxy that asks the service at a URL and trusts the CA in a file.
	start func(t *testing.T, url, ca string) proxy
	// bearerOnly says that the proxy takes tokens in Authorization alone, and no passwords.
	bearerOnly bool
	// hidesClients says that the proxy does not tell the service the addresses of its clients.
	hidesClients bool
	// passesNoTenant says that the application does not get the Tenant of the user.
	passesNoTenant bool
	// away is the status of its answers while it cannot reach the service.
	away int
}

// newProxy returns the proxy that listens at address with a certificate of roots.
func newProxy(t *testing.T, address string, roots *x509.CertPool) proxy {
	t.Helper()
	client := func(http2 bool) *http.Client {
		transport := &http.Transport{
			ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "app.example.com"},
			// The service trusts proxies at 127.0.0.1, so clients must be elsewhere.
			DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddress)}}).DialContext,
		}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	return proxy{url: "https://" + address, client: client(false), http2: client(true)}
}

// send sends a request through the proxy and returns the answer, of the application or of the
// proxy.
func (p proxy) send(t *testing.T, method string, headers []string) servertest.Answer {
	t.Helper()
	return send(t, p.client, method, p.url+"/orders?id=1", "body of "+method, headers...)
}

// send sends a request and returns the response. Each header has the form "Name: value".
func send(t *testing.T, client *http.Client, method, url, body string, headers ...string) servertest.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return servertest.Answer{Status: response.StatusCode, Header: response.Header, Body: string(read)}
}

// passes checks that a request reaches the application as one of the user, without the credentials.
func (p proxy) passes(t *testing.T, method string, headers []string, u *directory.User) {
	t.Helper()
	want := request{Identity: map[string][]string{"X-Auth-User": {u.Login}, "X-Auth-Uid": {u.UID}}, Body: "body of " + method}
	if len(u.Groups) > 0 {
		want.Identity["X-Auth-Groups"] = []string{strings.Join(u.Groups, ",")}
	}
	if u.Tenant != "" && !p.passesNoTenant {
		want.Identity["X-Auth-Tenant"] = []string{u.Tenant}
	}
	a := p.send(t, method, headers)
	var got request
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Status != http.StatusOK {
		t.Fatalf("answered %d %q, want 200 of the application", a.Status, a.Body)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the application got %+v, want %+v", got, want)
	}
}

// refuses checks that a request does not reach the application, and that the proxy asks the client
// for credentials.
func (p proxy) refuses(t *testing.T, headers []string) {
	t.Helper()
	a := p.send(t, http.MethodPost, headers)
	if a.Status != http.StatusUnauthorized || strings.Contains(a.Body, "body of") {
		t.Errorf("answered %d %q, want 401 of the proxy", a.Status, a.Body)
	}
	if a.Header.Get("WWW-Authenticate") == "" {
		t.Error("the answer has no challenge")
	}
}

// credentials returns headers with each kind of credential that the proxy takes.
func (k proxies) credentials(jwt, opaque string) map[string][]string {
	kinds := map[string][]string{
		"a JWT":           {"Authorization: Bearer " + jwt},
		"an opaque token": {"Authorization: Bearer " + opaque},
	}
	if !k.bearerOnly {
		kinds["an opaque token in X-Authentication"] = []string{"X-Authentication: " + opaque}
		kinds["a password"] = []string{basic("ada@example.com", adaPassword)}
	}
	return kinds
}

// newService starts the service with two users, of whom the second has no groups, and one for the proxy. Unless
// hidesClients is set, the proxy must tell the service the addresses of its clients.
func newService(t *testing.T, hidesClients bool) (g *servertest.Service, ada, bob *directory.User) {
	t.Helper()
	var log output
	t.Cleanup(func() {
		if !hidesClients && !strings.Contains(log.String(), `"source":"`+clientAddress+`"`) {
			t.Errorf("no event is of the address of the clients:\n%s", log.String())
		}
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, `"api":"forward`) && !strings.Contains(line, `"source":"`+clientNetwork) {
				t.Errorf("an event is not of the address of the client: %s", line)
			}
		}
		if strings.Contains(log.String(), forgedAddress) {
			t.Errorf("the service takes the address that clients claim for theirs:\n%s", log.String())
		}
	})
	g = servertest.New(t, servertest.Options{
		OwnURL: true, PasswordCacheTTL: time.Minute, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Log: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	ada = g.Put(t, directory.User{Login: "ada@example.com", Groups: []string{"operators", "developers"}, Tenant: "team-a"}, adaPassword)
	bob = g.Put(t, directory.User{Login: "bob"}, bobPassword)
	g.Put(t, directory.User{Login: "app-proxy"}, appProxyPassword)
	return g, ada, bob
}

// newIssuer starts the service, whose URL is also its issuer, with one user.
func newIssuer(t *testing.T) (g *servertest.Service, ada *directory.User) {
	t.Helper()
	g = servertest.New(t, servertest.Options{OwnURL: true})
	return g, g.Put(t, directory.User{Login: "ada@example.com", Groups: []string{"operators", "developers"}}, adaPassword)
}

// test checks a proxy in front of the application.
func (k proxies) test(t *testing.T) {
	g, ada, bob := newService(t, k.hidesClients)
	ca := writeFile(t, "ca.crt", string(g.CA))
	p := k.start(t, g.URL, ca)
	p.proxies = k
	jwt, opaque := login(t, g, ada.Login, adaPassword)
	other, lost := login(t, g, ada.Login, adaPassword)
	bobs, _ := login(t, g, bob.Login, bobPassword)
	for name, credentials := range k.credentials(jwt, opaque) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(method+" with "+name+" reaches the application under the name of the user", func(t *testing.T) {
				p.passes(t, method, credentials, ada)
			})
		}
		t.Run("forged headers beside "+name+" do not reach the application", func(t *testing.T) {
			p.passes(t, http.MethodPost, slices.Concat(forged(), credentials), ada)
		})
		t.Run("misspelled headers beside "+name+" do not reach the application", func(t *testing.T) {
			p.passes(t, http.MethodPost, slices.Concat(misspelled(), credentials), ada)
		})
	}
	t.Run("the client cannot have the headers of the proxy dropped", func(t *testing.T) {
		p.passes(t, http.MethodGet, []string{"Connection: X-Auth-User, X-Auth-Groups, X-Auth-Uid, X-Auth-Tenant", "Authorization: Bearer " + jwt}, ada)
	})
	t.Run("the client cannot hide its address", func(t *testing.T) {
		p.refuses(t, []string{"Connection: X-Forwarded-For", basic(ada.Login, "wrong")})
	})
	t.Run("forged headers do not reach the application over HTTP/2, where the proxy has it", func(t *testing.T) {
		proxy{url: p.url, client: p.http2}.passes(t, http.MethodGet,
			slices.Concat(forged(), misspelled(), []string{"Authorization: Bearer " + bobs}), bob)
	})
	t.Run("a user without groups gets none", func(t *testing.T) {
		p.passes(t, http.MethodGet, []string{"Authorization: Bearer " + bobs}, bob)
	})
	t.Run("a user without groups cannot bring any", func(t *testing.T) {
		p.passes(t, http.MethodGet, append(forged(), "Authorization: Bearer "+bobs), bob)
	})
	for name, credentials := range map[string][]string{
		"without credentials":      nil,
		"with forged headers only": forged(),
		"with a token of no user":  {"Authorization: Bearer garbage"},
		"with a wrong password":    {basic("ada@example.com", "wrong")},
	} {
		t.Run("refuses a request "+name, func(t *testing.T) { p.refuses(t, credentials) })
	}
	t.Run("refuses a request with two credentials", func(t *testing.T) {
		a := p.send(t, http.MethodPost, []string{"Authorization: Bearer " + jwt, "Authorization: Bearer " + bobs})
		if a.Status != http.StatusUnauthorized && a.Status != http.StatusBadRequest || strings.Contains(a.Body, "body of") {
			t.Errorf("answered %d %q, want 401 or 400 of the proxy", a.Status, a.Body)
		}
	})
	for name, token := range map[string]string{"a JWT": other, "an opaque token": lost} {
		t.Run("refuses "+name+" as soon as it is revoked", func(t *testing.T) {
			credentials := []string{"Authorization: Bearer " + token}
			p.passes(t, http.MethodGet, credentials, ada)
			revoke(t, g, token)
			p.refuses(t, credentials)
		})
	}
	t.Run("lets no one pass while it cannot reach the service", func(t *testing.T) {
		alone := k.start(t, "https://127.0.0.9:1", ca) // nothing listens there
		if a := alone.send(t, http.MethodGet, []string{"Authorization: Bearer " + jwt}); a.Status != k.away {
			t.Errorf("answered %d %q, want %d", a.Status, a.Body, k.away)
		}
	})
	revoked := *ada
	revoked.Revoked = true
	g.Put(t, revoked)
	for name, credentials := range k.credentials(jwt, opaque) {
		t.Run("refuses "+name+" as soon as the user is revoked", func(t *testing.T) { p.refuses(t, credentials) })
	}
}

// login gets a token of each kind for a user, as the clients of the two APIs do.
func login(t *testing.T, g *servertest.Service, name, password string) (jwt, opaque string) {
	t.Helper()
	var answer struct {
		JWT    string `json:"access_token"`
		Opaque string `json:"token"`
	}
	request, err := json.Marshal(map[string]string{"login": name, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []servertest.Answer{
		g.Send(t, http.MethodPost, "/v1/users/authorize", "", basic(name, password)),
		g.Send(t, http.MethodPost, "/rbac-api/v1/auth/token", string(request), "Content-Type: application/json"),
	} {
		if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || a.Status != http.StatusOK {
			t.Fatalf("the login of %s is answered with %d %s", name, a.Status, a.Body)
		}
	}
	return answer.JWT, answer.Opaque
}

// revoke ends one token.
func revoke(t *testing.T, g *servertest.Service, token string) {
	t.Helper()
	if a := g.Send(t, http.MethodDelete, "/rbac-api/v2/tokens/"+token, ""); a.Status != http.StatusNoContent {
		t.Fatalf("the revocation is answered with %d %s", a.Status, a.Body)
	}
}

// basic returns the header with a login and a password.
func basic(login, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(login, password)
	return "Authorization: " + r.Header.Get("Authorization")
}

// newCertificate makes a certificate for the proxy and returns the paths of certificate and key,
// and the roots that a client needs to trust it. The file of the certificate holds the key as well,
// for proxies that want one file.
func newCertificate(t *testing.T) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	leaf, bundle, err := authority.Single([]string{"app.example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	public := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}))
	return writeFile(t, "tls.crt", public+private), writeFile(t, "tls.key", private), roots
}
