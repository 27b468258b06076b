package load

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/server"
)

// identityLogin is the login of the user who logs in with assertions.
const identityLogin = "workload"

// issuer signs assertions with RS256, as most issuers do, and publishes its key over HTTPS.
type issuer struct {
	url     string
	key     *rsa.PrivateKey
	web     *http.Server
	fetches atomic.Int64 // of the key
}

// startIssuer serves the documents of an issuer with the certificate in certDir, and writes the file
// of trusted issuers. The caller must call stop.
func startIssuer(certDir, trustedFile string) (*issuer, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(certDir, "tls.crt"), filepath.Join(certDir, "tls.key"))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(filepath.Join(certDir, "tls.crt")) //nolint:gosec // given on the command line
	if err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to cancel
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, err
	}
	i := &issuer{url: "https://localhost:" + port, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", answerDocument(map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"}))
	answerKeys := answerDocument(map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
	}}})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		answerKeys(w, r)
	})
	i.web = server.NewHTTP(mux)
	go func() {
		_ = i.web.Serve(tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}))
	}()
	text := fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: %s\n"+
		"    audiences: [bench]\n    certificateAuthority: |\n      %s\n", i.url, strings.ReplaceAll(strings.TrimSpace(string(pem)), "\n", "\n      "))
	return i, os.WriteFile(trustedFile, []byte(text), 0o600) //nolint:gosec // as above
}

func (i *issuer) stop() { _ = i.web.Close() }

func answerDocument(document any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document) // the service is gone when this fails
	}
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// unsigned returns an assertion with an id, without the signature of a key.
func (i *issuer) unsigned(key string, id uint64) string {
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":["bench"],"iat":%d,"exp":%d,"jti":"%d"}`, i.url, identityLogin, now, now+3600, id)
	return encode(fmt.Appendf(nil, `{"alg":"RS256","kid":%q,"typ":"JWT"}`, key)) + "." + encode([]byte(claims))
}

// forge returns an assertion of a key that the issuer does not have.
func (i *issuer) forge(id uint64) string {
	return i.unsigned(fmt.Sprint("unknown-", id), id) + "." + encode(make([]byte, i.key.Size()))
}

// sign returns an assertion with an id.
func (i *issuer) sign(id int) (string, error) {
	signed := i.unsigned("bench", uint64(id)) //nolint:gosec // a count
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, digest[:])
	return signed + "." + encode(signature), err
}

// assertCall is a login with an assertion in the place of the password.
func assertCall(assertion string) call {
	credentials := base64.StdEncoding.EncodeToString([]byte(identityLogin + ":" + assertion))
	return call{http.MethodPost, "/v1/users/authorize", header(jsonType, "Basic "+credentials), `{"ttl":600}`}
}

// freshAssertions returns n assertions that no one has checked yet.
func (b *testbed) freshAssertions(ctx context.Context, n int) ([]call, error) {
	calls := make([]call, n)
	errs := make(chan error, 8)
	var all sync.WaitGroup
	first := b.assertions
	b.assertions += n
	for worker := range cap(errs) {
		all.Go(func() {
			for at := worker; at < n && ctx.Err() == nil; at += cap(errs) {
				text, err := b.issuer.sign(first + at)
				if err != nil {
					errs <- err
					return
				}
				calls[at] = assertCall(text)
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
		return calls, ctx.Err()
	}
}
