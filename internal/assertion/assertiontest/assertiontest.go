// Package assertiontest is an issuer of assertions for tests: it signs what they ask for, good or
// forged, and publishes its keys.
package assertiontest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Audience is the audience of assertions unless a test sets another one.
const Audience = "https://gatehouse.test"

// Issuer is an issuer. Create it with New. It is safe for concurrent use.
type Issuer struct {
	URL string

	mu        sync.Mutex
	keys      map[string]crypto.Signer
	published map[string]crypto.Signer
	down      bool
	name      string // in the discovery document, if not URL
	fetches   int    // of the key set
}

// The ids of the keys that each issuer begins with.
const (
	RS256 = "rs256"
	ES256 = "es256"
	EdDSA = "eddsa"
)

// New returns an issuer that publishes a key for each algorithm.
func New(t testing.TB, url string) *Issuer {
	t.Helper()
	i := &Issuer{URL: url, keys: map[string]crypto.Signer{}, published: map[string]crypto.Signer{}}
	for _, id := range []string{RS256, ES256, EdDSA} {
		i.AddKey(t, id, id)
		i.Publish(id)
	}
	return i
}

// AddKey makes a key that is not published yet, or replaces the one with the same id.
func (i *Issuer) AddKey(t testing.TB, id, algorithm string) {
	t.Helper()
	signer, err := NewKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[id] = signer
}

// NewKey makes a key for an algorithm: RS256, ES256 or EdDSA.
func NewKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case RS256:
		return rsa.GenerateKey(rand.Reader, 2048)
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
}

// Publish publishes a key.
func (i *Issuer) Publish(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published[id] = i.keys[id]
}

// Withdraw stops publishing a key.
func (i *Issuer) Withdraw(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.published, id)
}

// Fail makes every fetch fail, or work again.
func (i *Issuer) Fail(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// Lie makes the discovery document name another issuer.
func (i *Issuer) Lie(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.name = name
}

// Fetches returns how often the key set was fetched.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Get implements assertion.Get.
func (i *Issuer) Get(_ context.Context, url string) ([]byte, error) {
	return i.Document(strings.TrimPrefix(url, i.URL))
}

// Document returns what the issuer publishes at a path.
func (i *Issuer) Document(path string) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return nil, errors.New("the issuer is down")
	}
	switch path {
	case "/.well-known/openid-configuration":
		name := i.URL
		if i.name != "" {
			name = i.name
		}
		return json.Marshal(map[string]string{"issuer": name, "jwks_uri": i.URL + "/keys"})
	case "/keys":
		i.fetches++
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
		for id, signer := range i.published {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: signer.Public(), KeyID: id, Use: "sig"})
		}
		return json.Marshal(set)
	}
	return nil, errors.New("not found")
}

// Claims returns good claims for a subject, with changes. A nil value removes a claim.
func (i *Issuer) Claims(now time.Time, subject string, changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "sub": subject, "aud": []string{Audience},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// Sign returns an assertion, signed with RS256 as most issuers do.
func (i *Issuer) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return i.SignWith(t, RS256, claims)
}

// SignWith returns an assertion signed with a key.
func (i *Issuer) SignWith(t testing.TB, id string, claims map[string]any) string {
	t.Helper()
	i.mu.Lock()
	signer := i.keys[id]
	i.mu.Unlock()
	return sign(t, signer, map[string]any{"alg": methodOf(signer).Alg(), "kid": id, "typ": "JWT"}, encode(t, claims))
}

// SignHeader returns an assertion with any header, signed with a key as RS256 does.
func (i *Issuer) SignHeader(t testing.TB, id, header string, claims map[string]any) string {
	t.Helper()
	i.mu.Lock()
	signer := i.keys[id]
	i.mu.Unlock()
	return forger{jwt.SigningMethodRS256, signer}.sign(t, header, encode(t, claims))
}

// sign returns a JWT with any header and any payload.
func sign(t testing.TB, key any, header map[string]any, payload string) string {
	t.Helper()
	return forger{methodOf(key), key}.sign(t, encode(t, header), payload)
}

// forger signs what a genuine issuer would not.
type forger struct {
	method jwt.SigningMethod
	key    any
}

// sign returns a JWT with any header and any payload.
func (f forger) sign(t testing.TB, header, payload string) string {
	t.Helper()
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := f.method.Sign(signed, f.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func methodOf(key any) jwt.SigningMethod {
	switch key.(type) {
	case *rsa.PrivateKey:
		return jwt.SigningMethodRS256
	case *ecdsa.PrivateKey:
		return jwt.SigningMethodES256
	case ed25519.PrivateKey:
		return jwt.SigningMethodEdDSA
	}
	return jwt.SigningMethodHS256
}

func encode(t testing.TB, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Forgeries returns assertions about a subject that must be refused, by what is wrong with each.
func (i *Issuer) Forgeries(t testing.TB, now time.Time, subject string) map[string]string {
	t.Helper()
	good := encode(t, i.Claims(now, subject, nil))
	i.mu.Lock()
	rsaKey, ecKey := i.keys[RS256], i.keys[ES256]
	i.mu.Unlock()
	public, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewKey(RS256)
	if err != nil {
		t.Fatal(err)
	}
	header := func(algorithm, id string) map[string]any {
		return map[string]any{"alg": algorithm, "kid": id, "typ": "JWT"}
	}
	headerWith := func(name string, value any) map[string]any {
		h := header("RS256", RS256)
		h[name] = value
		return h
	}
	genuine := sign(t, rsaKey, header("RS256", RS256), good)
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(good)) + "."
	forged := map[string]string{
		"with another key and the kid":       sign(t, other, header("RS256", RS256), good),
		"with another key and its own kid":   sign(t, other, header("RS256", "unknown"), good),
		"without a kid":                      sign(t, rsaKey, map[string]any{"alg": "RS256"}, good),
		"with the kid of another key":        sign(t, rsaKey, header("RS256", ES256), good),
		"with the algorithm of the kid":      sign(t, ecKey, header("RS256", RS256), good),
		"with no algorithm":                  unsigned,
		"with no algorithm but the kid":      base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"rs256"}`)) + strings.TrimLeft(unsigned, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
		"with HS256 and the public key":      sign(t, public, header("HS256", RS256), good),
		"with the key in the header":         sign(t, other, headerWith("jwk", jose.JSONWebKey{Key: other.Public()}), good),
		"with a URL of keys":                 sign(t, rsaKey, headerWith("jku", "https://evil.test/keys"), good),
		"with a certificate":                 sign(t, rsaKey, headerWith("x5c", []string{"MIIB"}), good),
		"with a URL of certificates":         sign(t, rsaKey, headerWith("x5u", "https://evil.test/chain"), good),
		"with an encoding of its payload":    sign(t, rsaKey, headerWith("b64", true), good),
		"with a wrong name of its algorithm": sign(t, rsaKey, header("RS512", RS256), good),
		"with another algorithm of its key":  forger{jwt.SigningMethodRS512, rsaKey}.sign(t, encode(t, header("RS512", RS256)), good),
		"with PSS":                           forger{jwt.SigningMethodPS256, rsaKey}.sign(t, encode(t, header("PS256", RS256)), good),
		"with a duplicate header":            forger{jwt.SigningMethodRS256, rsaKey}.sign(t, `{"alg":"RS256","kid":"rs256","kid":"rs256"}`, good),
		"with another spelling":              genuine[:len(genuine)-1] + respell(genuine[len(genuine)-1:]),
		"with a critical extension":          sign(t, rsaKey, headerWith("crit", []string{"b64"}), good),
		"with a duplicate claim":             sign(t, rsaKey, header("RS256", RS256), strings.TrimSuffix(good, "}")+`,"sub":"`+subject+`"}`),
		"with another claim after it":        sign(t, rsaKey, header("RS256", RS256), good+`{}`),
		"with a changed payload":             changePayload(genuine),
		"with a changed signature":           genuine[:len(genuine)-4] + "AAAA",
		"without a signature":                genuine[:strings.LastIndexByte(genuine, '.')+1],
	}
	maps.Copy(forged, i.wrongClaims(t, now, subject))
	return forged
}

// wrongClaims returns assertions with a good signature and claims that must be refused.
func (i *Issuer) wrongClaims(t testing.TB, now time.Time, subject string) map[string]string {
	t.Helper()
	with := func(changes map[string]any) string { return i.Sign(t, i.Claims(now, subject, changes)) }
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	return map[string]string{
		"of a foreign audience":           with(map[string]any{"aud": "https://other.test"}),
		"without an audience":             with(map[string]any{"aud": nil}),
		"with an empty audience":          with(map[string]any{"aud": []string{}}),
		"of another issuer":               with(map[string]any{"iss": "https://evil.test"}),
		"without an issuer":               with(map[string]any{"iss": nil}),
		"of an issuer with a slash":       with(map[string]any{"iss": i.URL + "/"}),
		"without a subject":               with(map[string]any{"sub": nil}),
		"with an empty subject":           with(map[string]any{"sub": ""}),
		"with a subject that is a number": with(map[string]any{"sub": 7}),
		"that has expired":                with(map[string]any{"iat": at(-2 * time.Hour), "nbf": at(-2 * time.Hour), "exp": at(-31 * time.Second)}),
		"that is not valid yet":           with(map[string]any{"nbf": at(40 * time.Second)}),
		"issued in the future":            with(map[string]any{"iat": at(40 * time.Second)}),
		"that lives longer than a day":    with(map[string]any{"exp": at(24*time.Hour + time.Second)}),
		"with a beginning that is a text": with(map[string]any{"nbf": "tomorrow"}),
		"without an end":                  with(map[string]any{"exp": nil}),
		"of a legacy Secret": with(map[string]any{
			"aud": nil, "iat": nil, "nbf": nil, "exp": nil, "kubernetes.io/serviceaccount/secret.name": "billing-token",
		}),
		"of a legacy Secret for us":    with(map[string]any{"iat": nil, "nbf": nil, "exp": nil, "kubernetes.io/serviceaccount/secret.name": "billing-token"}),
		"without a beginning":          with(map[string]any{"iat": nil}),
		"with an end that is a text":   with(map[string]any{"exp": "tomorrow"}),
		"with an end beyond all times": with(map[string]any{"exp": 1e300}),
		"of 17 KiB":                    with(map[string]any{"padding": strings.Repeat("x", 12<<10)}),
		"of 100 KiB":                   with(map[string]any{"padding": strings.Repeat("x", 75<<10)}),
	}
}

// respell returns another last character of a signature of 256 bytes, which stands for the same
// bytes: four of its six bits are not used.
func respell(last string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.Index(alphabet, last)+1])
}

// changePayload changes one claim and leaves the signature as it is.
func changePayload(text string) string {
	parts := strings.Split(text, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"iat":1`, `"iat": 1`, 1)))
	return strings.Join(parts, ".")
}
