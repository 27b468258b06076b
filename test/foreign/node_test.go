package foreign_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestOpenIDClient(t *testing.T) {
	n := newNode(t)
	g, _ := newIssuer(t)
	g.Put(t, directory.User{Login: "billing-service"}, "tick tock")
	script := n.write(t, "client.mjs", docsBlock(t, "programs.md", "client.mjs", "https://auth.example.com", g.URL))
	out := run(t, append(n.environment(t, g), "GATEHOUSE_PASSWORD=tick tock"), n.path, script)
	before, after, _ := strings.Cut(out, "}\n")
	if !strings.Contains(before, "active: true") || !strings.Contains(before, "username: 'billing-service'") {
		t.Errorf("introspection of a new token prints %q", before)
	}
	if strings.TrimSpace(after) != "{ active: false }" {
		t.Errorf("introspection of a revoked token prints %q", after)
	}
}

func TestJose(t *testing.T) {
	n := newNode(t)
	g, ada := newIssuer(t)
	n.write(t, "verify.mjs", docsBlock(t, "programs.md", "verify.mjs", "https://auth.example.com", g.URL))
	script := n.write(t, "main.mjs", `import { verify } from './verify.mjs';
console.log(await verify(process.argv[2]).then((claims) => JSON.stringify(claims), (error) => error.code));
`)
	verify := func(token string) string {
		return strings.TrimSpace(run(t, n.environment(t, g), n.path, script, token))
	}
	jwt, opaque := login(t, g, ada.Login, adaPassword)
	var claims struct {
		Subject, UID string
		Groups       []string
	}
	t.Run("returns the claims of the user", func(t *testing.T) {
		out := verify(jwt)
		if err := json.Unmarshal([]byte(strings.Replace(out, `"sub"`, `"subject"`, 1)), &claims); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		if claims.Subject != ada.Login || claims.UID != ada.UID || strings.Join(claims.Groups, ",") != strings.Join(ada.Groups, ",") {
			t.Errorf("the claims are %s", out)
		}
	})
	for name, token := range map[string]string{"another signature": jwt[:len(jwt)-4] + "AAAA", "no form of a JWT": opaque} {
		t.Run("refuses a token with "+name, func(t *testing.T) {
			if out := verify(token); !strings.HasPrefix(out, "ERR_J") {
				t.Errorf("prints %s", out)
			}
		})
	}
	t.Run("sees no revocation, as the page says", func(t *testing.T) {
		revoke(t, g, jwt)
		if out := verify(jwt); strings.HasPrefix(out, "ERR_") {
			t.Errorf("prints %s", out)
		}
	})
	t.Run("refuses a token that has ended", func(t *testing.T) {
		short := g.Send(t, http.MethodPost, "/v1/users/authorize", `{"ttl":1}`, basic(ada.Login, adaPassword), "Content-Type: application/json")
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(short.Body), &answer); err != nil {
			t.Fatal(err)
		}
		eventually(t, 60*time.Second, func() bool { return verify(answer.Token) == "ERR_JWT_EXPIRED" })
	})
}

// TestOAuth4WebAPI validates a JWT by all rules of RFC 9068, as openid-client's own library does.
func TestOAuth4WebAPI(t *testing.T) {
	n := newNode(t)
	g, ada := newIssuer(t)
	script := n.write(t, "main.mjs", `import * as oauth from 'oauth4webapi';
const [issuer, token] = process.argv.slice(2);
const server = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer)));
const request = new Request(issuer, { headers: { authorization: 'Bearer ' + token } });
console.log(await oauth.validateJwtAccessToken(server, request, issuer).then((claims) => claims.client_id, (error) => error.code));
`)
	jwt, opaque := login(t, g, ada.Login, adaPassword)
	for token, want := range map[string]string{
		jwt: ada.Login, jwt[:len(jwt)-4] + "AAAA": "OAUTH_INVALID_RESPONSE", opaque: "OAUTH_INVALID_RESPONSE",
	} {
		if out := strings.TrimSpace(run(t, n.environment(t, g), n.path, script, g.URL, token)); out != want {
			t.Errorf("validates %s as %q, want %q", token, out, want)
		}
	}
}

func TestExpressOAuth2JWTBearer(t *testing.T) {
	n := newNode(t)
	g, ada := newIssuer(t)
	address := freeAddress(t)
	script := n.write(t, "server.mjs", docsBlock(t, "programs.md", "server.mjs",
		"https://auth.example.com", g.URL, "listen(3000)", "listen("+address[strings.LastIndex(address, ":")+1:]+")"))
	for _, variable := range n.environment(t, g) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	start(t, address, n.path, script)
	get := func(t *testing.T, token string) (int, string) {
		a := send(t, http.DefaultClient, http.MethodGet, "http://"+address, "", "Authorization: Bearer "+token)
		return a.Status, a.Body
	}
	jwt, opaque := login(t, g, ada.Login, adaPassword)
	t.Run("accepts a JWT in strict mode", func(t *testing.T) {
		if status, body := get(t, jwt); status != http.StatusOK || !strings.Contains(body, `"sub":"ada@example.com"`) {
			t.Errorf("answers %d %s", status, body)
		}
	})
	for name, token := range map[string]string{"another signature": jwt[:len(jwt)-4] + "AAAA", "no form of a JWT": opaque} {
		t.Run("refuses a token with "+name, func(t *testing.T) {
			if status, body := get(t, token); status != http.StatusUnauthorized {
				t.Errorf("answers %d %s", status, body)
			}
		})
	}
}

// node runs scripts with the libraries of node/package.json.
type node struct{ path, folder string }

// newNode returns a folder for scripts that import the libraries.
func newNode(t *testing.T) node {
	t.Helper()
	modules := program(t, "node_modules")
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return node{path, folder}
}

// write creates a script and returns its path.
func (n node) write(t *testing.T, name, script string) string {
	t.Helper()
	path := filepath.Join(n.folder, name)
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// environment returns the variables that make Node.js trust g.
func (n node) environment(t *testing.T, g *servertest.Service) []string {
	t.Helper()
	variables := []string{"NODE_EXTRA_CA_CERTS=" + writeFile(t, "ca.crt", string(g.CA))}
	if strings.HasPrefix(run(t, nil, n.path, "--version"), "v18.") { // Debian 12's, where the libraries miss a global
		variables = append(variables, "NODE_OPTIONS=--experimental-global-webcrypto")
	}
	return variables
}
