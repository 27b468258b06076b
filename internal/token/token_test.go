package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

const (
	uid = "4fe8a1d0-6a39-4f8e-9a58-0a1b2c3d4e5f"
	url = "https://gatehouse.example"
)

// service issues and verifies with the same keys.
type service struct {
	token.Issuer
	token.Verifier
}

func newService(t testing.TB, algorithm string) *service {
	t.Helper()
	set := &token.KeySet{}
	set.Use(advance(t, token.Keys{}, start, policy(algorithm)))
	return &service{
		token.Issuer{Keys: set, URL: url, Audience: []string{url, "https://other.example"}},
		token.Verifier{Keys: set, Issuer: url, Audience: []string{url}},
	}
}

func claims() token.Claims {
	return token.Claims{
		UID: uid, Login: "jeanjackson@example.com", Name: "Jean Jackson", Email: "jj@example.com", Groups: []string{"operators"},
		IssuedAt: start.Add(1234567 * time.Microsecond), ExpiresAt: start.Add(time.Hour + 1234567*time.Microsecond),
	}
}

// kinds are the ways to issue a token.
func (s *service) kinds() map[string]func(token.Claims) (string, token.Claims, error) {
	return map[string]func(token.Claims) (string, token.Claims, error){"JWT": s.JWT, "opaque": s.Opaque}
}

func mustIssue(t testing.TB, issue func(token.Claims) (string, token.Claims, error), c token.Claims) (string, token.Claims) {
	t.Helper()
	text, issued, err := issue(c)
	if err != nil {
		t.Fatal(err)
	}
	return text, issued
}

func TestVerifyReturnsIssuedClaims(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{token.ES256, token.EdDSA, token.RS256} {
		s := newService(t, algorithm)
		for kind, issue := range s.kinds() {
			text, issued := mustIssue(t, issue, claims())
			got, err := s.Verify(text, start.Add(time.Minute))
			if err != nil {
				t.Fatalf("%s %s: %v", algorithm, kind, err)
			}
			if got.ID != issued.ID || !token.IsID(got.ID) || got.UID != uid || got.Kind != issued.Kind ||
				!got.IssuedAt.Equal(issued.IssuedAt) || !got.ExpiresAt.Equal(issued.ExpiresAt) {
				t.Errorf("%s %s: got %+v, want %+v", algorithm, kind, got, issued)
			}
			if kind == "JWT" && (got.Login != claims().Login || got.Name != claims().Name || len(got.Groups) != 1) {
				t.Errorf("%s: the user's names are lost: %+v", algorithm, got)
			}
			if kind == "opaque" && (text[0] != '0' || strings.Contains(text, "=") || len(text) != 97) {
				t.Errorf("opaque token of %d characters: %s...", len(text), text[:4])
			}
		}
	}
}

func TestPublishedKeysVerifyJWT(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{token.ES256, token.EdDSA, token.RS256} {
		s := newService(t, algorithm)
		text, issued := mustIssue(t, s.JWT, claims())
		published, err := json.Marshal(s.Issuer.Keys.Public(start))
		if err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{`"d"`, `"p"`, `"k"`} {
			if strings.Contains(string(published), private) {
				t.Fatalf("%s: member %s of a private key is published", algorithm, private)
			}
		}
		var keys jose.JSONWebKeySet
		if err := json.Unmarshal(published, &keys); err != nil {
			t.Fatal(err)
		}
		signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := signed.Verify(keys.Key(signed.Signatures[0].Header.KeyID)[0])
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		var got map[string]any
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Fatal(err)
		}
		if got["jti"] != issued.ID || got["sub"] != claims().Login || got["uid"] != uid || got["iat"] != float64(start.Unix()+1) {
			t.Errorf("%s: claims %v", algorithm, got)
		}
	}
}

func TestTimesAreExactButForClocks(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	c := claims()
	c.IssuedAt, c.ExpiresAt = start, start.Add(time.Hour)
	for kind, issue := range s.kinds() {
		text, _ := mustIssue(t, issue, c)
		for at, want := range map[time.Duration]error{
			-31 * time.Second: token.ErrInvalid,
			-30 * time.Second: nil,
			0:                 nil,
			time.Hour - 1:     nil,
			time.Hour:         token.ErrExpired,
			100 * time.Hour:   token.ErrExpired,
		} {
			if _, err := s.Verify(text, start.Add(at)); !errors.Is(err, want) {
				t.Errorf("%s, %v after issue: got error %v, want %v", kind, at, err, want)
			}
		}
	}
}

// Two texts under one nonce would reveal the key stream, and with it the means to forge tokens of
// any user.
func TestIDSealsOnlyItsClaims(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	text, issued := mustIssue(t, s.Opaque, claims())
	if again, _ := mustIssue(t, s.Opaque, issued); again != text || !s.Repeats(issued, start) {
		t.Error("the claims as issued do not give the same token")
	}
	for name, change := range map[string]func(*token.Claims){
		"another user":       func(c *token.Claims) { c.UID = "00000000-6a39-4f8e-9a58-0a1b2c3d4e5f" },
		"a later end":        func(c *token.Claims) { c.ExpiresAt = c.ExpiresAt.Add(time.Millisecond) },
		"an earlier issue":   func(c *token.Claims) { c.IssuedAt = c.IssuedAt.Add(-time.Millisecond) },
		"another login":      func(c *token.Claims) { c.AuthTime = c.AuthTime.Add(-time.Millisecond) },
		"a final token":      func(c *token.Claims) { c.Final = true },
		"an id drawn freely": func(c *token.Claims) { c.ID = token.NewID() },
		"no id at all":       func(c *token.Claims) { c.ID = "made by hand" },
	} {
		c := issued
		change(&c)
		if text, _, err := s.Opaque(c); err == nil || text != "" || s.Repeats(c, start) {
			t.Errorf("%s: sealed with error %v", name, err)
		}
	}
	if s.Repeats(claims(), start) {
		t.Error("claims without an id repeat a token")
	}
}

func TestExpiredTokenKeepsClaims(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	for kind, issue := range s.kinds() {
		text, issued := mustIssue(t, issue, claims())
		if got, err := s.Verify(text, start.Add(2*time.Hour)); !errors.Is(err, token.ErrExpired) || got.ID != issued.ID || got.UID != uid {
			t.Errorf("%s: got %+v and error %v", kind, got, err)
		}
	}
}

func TestOpaqueTokenRepeatsAfterRotation(t *testing.T) {
	t.Parallel()
	s, p := newService(t, token.ES256), policy(token.ES256)
	first, issued := mustIssue(t, s.Opaque, claims())
	now := start.Add(day)
	s.Issuer.Keys.Use(advance(t, edit(t, s.Issuer.Keys.Keys(), requestRotation), now, p))
	again, _ := mustIssue(t, s.Opaque, issued)
	if again != first {
		t.Error("another token comes back")
	}
	later := claims()
	later.IssuedAt, later.ExpiresAt = now.Add(time.Hour), now.Add(2*time.Hour)
	if other, _ := mustIssue(t, s.Opaque, later); other[:6] == first[:6] {
		t.Error("the replaced key still seals")
	}
}

func TestNoTokenWithoutKey(t *testing.T) {
	t.Parallel()
	s := &service{Issuer: token.Issuer{Keys: &token.KeySet{}}}
	for kind, issue := range s.kinds() {
		if _, _, err := issue(claims()); !errors.Is(err, token.ErrNoKey) {
			t.Errorf("%s: got error %v", kind, err)
		}
	}
	if s.Issuer.Keys.Ready(start) || len(s.Issuer.Keys.Public(start).Keys) != 0 {
		t.Error("there are keys before there are any")
	}
}

func TestTokenOfAnotherServiceIsInvalid(t *testing.T) {
	t.Parallel()
	s, other := newService(t, token.ES256), newService(t, token.ES256)
	for kind, issue := range other.kinds() {
		text, _ := mustIssue(t, issue, claims())
		if _, err := s.Verify(text, start.Add(time.Minute)); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: got error %v", kind, err)
		}
	}
	text, _ := mustIssue(t, s.JWT, claims())
	for name, v := range map[string]token.Verifier{
		"another issuer":   {Keys: s.Issuer.Keys, Issuer: url + "/", Audience: []string{url}},
		"another audience": {Keys: s.Issuer.Keys, Issuer: url, Audience: []string{"https://third.example"}},
		"no audience":      {Keys: s.Issuer.Keys, Issuer: url},
	} {
		if _, err := v.Verify(text, start.Add(time.Minute)); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestChangedCharacterInvalidatesToken(t *testing.T) {
	t.Parallel()
	s := newService(t, token.ES256)
	for kind, issue := range s.kinds() {
		text, _ := mustIssue(t, issue, claims())
		for i := range text {
			for _, c := range []byte{'A', 'B', '-', '.', '=', '+', ' ', '\n', 0} {
				if text[i] == c {
					continue
				}
				if got, err := s.Verify(text[:i]+string(c)+text[i+1:], start.Add(time.Minute)); !errors.Is(err, token.ErrInvalid) {
					t.Fatalf("%s with %q at %d is good: %+v, %v", kind, c, i, got, err)
				}
			}
		}
		for _, other := range []string{text + "=", text + "A", " " + text, text + "\n", text + "\r\n", text[:len(text)-1], ""} {
			if _, err := s.Verify(other, start.Add(time.Minute)); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("%s: a second spelling of %d characters is good: %v", kind, len(other), err)
			}
		}
	}
}

// forge signs claims as an attacker does who knows the published keys and the form of tokens.
func forge(t *testing.T, header map[string]any, payload map[string]any, key any, method jwt.SigningMethod) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, jwt.MapClaims(payload))
	maps.Copy(tok.Header, header)
	text, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestIDHasOneSpelling(t *testing.T) {
	t.Parallel()
	id := token.NewID()
	if !token.IsID(id) {
		t.Errorf("%q is not an id", id)
	}
	for _, other := range []string{"", id + "\n", id[:16] + "\n" + id[16:], id + "=", id[:31], id + "AAAA", id[:31] + "+"} {
		if token.IsID(other) {
			t.Errorf("%q is taken for an id", other)
		}
	}
}

func TestForgedJWTsAreInvalid(t *testing.T) {
	t.Parallel()
	s := newService(t, token.RS256)
	k := issuing(t, s.Issuer.Keys.Keys(), token.Sign, start)
	public := k.Public()
	der, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	own := advance(t, token.Keys{}, start, policy(token.ES256))
	mine := issuing(t, own, token.Sign, start).Public()
	payload := map[string]any{
		"iss": url, "aud": []string{url}, "uid": uid, "jti": token.NewID(), "sub": "jj",
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Add(time.Hour).Unix(),
	}
	good := map[string]any{"typ": "at+jwt", "kid": k.ID}
	for name, text := range map[string]string{
		"no signature":                      forge(t, good, payload, jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone),
		"the public key as a shared secret": forge(t, good, payload, der, jwt.SigningMethodHS256),
		"a key of its own in the header": forge(t, map[string]any{"typ": "at+jwt", "kid": mine.KeyID, "jwk": mine},
			payload, []byte("x"), jwt.SigningMethodHS256),
		"a key elsewhere": forge(t, map[string]any{"typ": "at+jwt", "kid": k.ID, "jku": "https://evil.example/jwks"},
			payload, []byte("x"), jwt.SigningMethodHS512),
		"no key":   forge(t, map[string]any{"typ": "at+jwt"}, payload, []byte("x"), jwt.SigningMethodHS256),
		"too long": strings.Repeat("A", token.MaximumLength+1),
		"nothing":  "..",
		"null":     base64.RawURLEncoding.EncodeToString([]byte("null")) + ".bnVsbA.",
	} {
		if got, err := s.Verify(text, start.Add(time.Minute)); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: got %+v, error %v", name, got, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	s := newService(f, token.EdDSA)
	issued := map[string]bool{}
	for _, issue := range s.kinds() {
		text, _ := mustIssue(f, issue, claims())
		issued[text] = true
		f.Add(text)
		f.Add(text[1:])
	}
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := s.Verify(text, start.Add(time.Minute))
		if issued[text] != (err == nil) {
			t.Fatalf("%q: error %v", text, err)
		}
	})
}
