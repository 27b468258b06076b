package assertion_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
)

const subject = "system:serviceaccount:shop:billing"

// trust returns a verifier that trusts an issuer and runs it until the test ends.
func trust(t *testing.T, i *assertiontest.Issuer) (*assertion.Verifier, *assertion.Issuer) {
	t.Helper()
	trusted := assertion.NewIssuer(assertion.Config{
		Source:    assertion.Source{Get: i.Get, Issuer: i.URL},
		Audiences: []string{assertiontest.Audience}, Now: time.Now,
		Fetched: func(*assertion.Issuer, bool, error) {},
	})
	v := &assertion.Verifier{}
	v.Trust([]*assertion.Issuer{trusted})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); trusted.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return v, trusted
}

func TestGoodAssertions(t *testing.T) {
	t.Parallel()
	i := assertiontest.New(t, "https://issuer.test")
	v, _ := trust(t, i)
	now := time.Now()
	texts := map[string]string{
		"RS256":                      i.SignWith(t, assertiontest.RS256, i.Claims(now, subject, nil)),
		"ES256":                      i.SignWith(t, assertiontest.ES256, i.Claims(now, subject, nil)),
		"EdDSA":                      i.SignWith(t, assertiontest.EdDSA, i.Claims(now, subject, nil)),
		"one of several audiences":   i.Sign(t, i.Claims(now, subject, map[string]any{"aud": []string{"x", assertiontest.Audience}})),
		"an audience that is a text": i.Sign(t, i.Claims(now, subject, map[string]any{"aud": assertiontest.Audience})),
		"no nbf":                     i.Sign(t, i.Claims(now, subject, map[string]any{"nbf": nil})),
		"a clock that is 29 s ahead": i.Sign(t, i.Claims(now.Add(29*time.Second), subject, nil)),
		"an end 29 s ago":            i.Sign(t, i.Claims(now, subject, map[string]any{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(-29 * time.Second).Unix()})),
		"a day of life":              i.Sign(t, i.Claims(now, subject, map[string]any{"exp": now.Unix() + 86400})),
		"times with fractions":       i.Sign(t, i.Claims(now, subject, map[string]any{"exp": float64(now.Unix()) + 60.5})),
	}
	for name, text := range texts {
		for _, sight := range []string{"first sight", "second sight"} {
			c, err := v.Verify(t.Context(), text, now)
			if err != nil || c.Subject != subject || c.Issuer != i.URL {
				t.Errorf("%s, %s: %+v, %v", name, sight, c, err)
			}
		}
		if !assertion.HasForm(text) {
			t.Errorf("%s: not recognized by its form", name)
		}
	}
	c, _ := v.Verify(t.Context(), i.Sign(t, i.Claims(now, subject, map[string]any{"environment": "production"})), now)
	if environment, ok := c.Text("environment"); !ok || environment != "production" {
		t.Errorf("the claim environment is %q", environment)
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	i := assertiontest.New(t, "https://issuer.test")
	v, _ := trust(t, i)
	now := time.Now()
	if _, err := v.Verify(t.Context(), i.Sign(t, i.Claims(now, subject, nil)), now); err != nil {
		t.Fatal(err)
	}
	for name, text := range i.Forgeries(t, now, subject) {
		for range 2 {
			_, err := v.Verify(t.Context(), text, now)
			if _, refused := errors.AsType[assertion.Refusal](err); !refused {
				t.Errorf("an assertion %s: %v", name, err)
			}
		}
		if !assertion.HasForm(text) {
			t.Errorf("an assertion %s is taken for a password", name)
		}
	}
}

func TestRememberedAssertionIsCheckedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://issuer.test")
		v, trusted := trust(t, i)
		text := i.Sign(t, i.Claims(time.Now(), subject, nil))
		verify := func() error { _, err := v.Verify(t.Context(), text, time.Now()); return err }
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + 29*time.Second)
		if err := verify(); err != nil {
			t.Errorf("before its end: %v", err)
		}
		time.Sleep(time.Second)
		if err := verify(); err != assertion.Expired {
			t.Errorf("after its end: %v", err)
		}
		text = i.Sign(t, i.Claims(time.Now(), subject, nil))
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		i.Withdraw(assertiontest.RS256)
		time.Sleep(7 * time.Minute)
		if err := verify(); err != assertion.UnknownKey {
			t.Errorf("after its key was withdrawn: %v", err)
		}
		i.Publish(assertiontest.RS256)
		time.Sleep(7 * time.Minute)
		if err := verify(); err != nil {
			t.Errorf("after its key came back: %v", err)
		}
		v.Trust(nil)
		if err := verify(); err != assertion.UntrustedIssuer {
			t.Errorf("after its issuer lost the trust: %v", err)
		}
		_ = trusted
	})
}

func TestKeysAreFetchedOnceInTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://issuer.test")
		v, _ := trust(t, i)
		synctest.Wait()
		for _, id := range []string{"new-1", "new-2", "new-3"} {
			i.AddKey(t, id, assertiontest.ES256)
		}
		fetches := i.Fetches()
		time.Sleep(11 * time.Second)
		for range 100 { // over 30 seconds
			for _, id := range []string{"new-1", "new-2", "new-3"} {
				text := i.SignWith(t, id, i.Claims(time.Now(), subject, nil))
				if _, err := v.Verify(t.Context(), text, time.Now()); err != assertion.UnknownKey {
					t.Fatalf("an assertion with an unknown key: %v", err)
				}
			}
			time.Sleep(300 * time.Millisecond)
		}
		if got := i.Fetches() - fetches; got < 3 || got > 4 {
			t.Errorf("%d fetches in 30 seconds", got)
		}
	})
}

func TestNewKeyIsFetchedWhenItIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://issuer.test")
		v, _ := trust(t, i)
		time.Sleep(11 * time.Second)
		i.AddKey(t, "new", assertiontest.RS256)
		i.Publish("new")
		text := i.SignWith(t, "new", i.Claims(time.Now(), subject, nil))
		if _, err := v.Verify(t.Context(), text, time.Now()); err != nil {
			t.Errorf("the first assertion with a new key: %v", err)
		}
	})
}

func TestIssuerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://issuer.test")
		i.Fail(true)
		v, _ := trust(t, i)
		verify := func() error {
			_, err := v.Verify(t.Context(), i.Sign(t, i.Claims(time.Now(), subject, nil)), time.Now())
			return err
		}
		if err := verify(); err != assertion.ErrNoKeys {
			t.Errorf("without keys: %v", err)
		}
		i.Fail(false)
		time.Sleep(11 * time.Second)
		if err := verify(); err != nil {
			t.Errorf("when the issuer is back: %v", err)
		}
		i.Fail(true)
		time.Sleep(24 * time.Hour)
		if err := verify(); err != nil {
			t.Errorf("after a day with the keys of before: %v", err)
		}
	})
}

func TestIssuerThatLies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://issuer.test")
		i.Lie("https://other.test")
		v, _ := trust(t, i)
		for _, issuer := range []string{"https://issuer.test", "https://other.test"} {
			text := i.Sign(t, i.Claims(time.Now(), subject, map[string]any{"iss": issuer}))
			if _, err := v.Verify(t.Context(), text, time.Now()); err == nil {
				t.Errorf("an assertion of %s is good", issuer)
			}
		}
	})
}

func TestSlowIssuerHoldsARequestForTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://issuer.test")
		slow := assertion.NewIssuer(assertion.Config{
			Source: assertion.Source{Issuer: i.URL, Get: func(ctx context.Context, _ string) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}},
			Audiences: []string{assertiontest.Audience}, Now: time.Now, Fetched: func(*assertion.Issuer, bool, error) {},
		})
		v := &assertion.Verifier{}
		v.Trust([]*assertion.Issuer{slow})
		go slow.Run(t.Context())
		synctest.Wait()
		begin := time.Now()
		_, err := v.Verify(t.Context(), i.Sign(t, i.Claims(begin, subject, nil)), begin)
		if waited := time.Since(begin); err != assertion.ErrNoKeys || waited != 2*time.Second {
			t.Errorf("%v after %s", err, waited)
		}
	})
}

// More requests than may wait for one issuer do not pile up.
func TestSlowIssuerHoldsNoCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://issuer.test")
		slow := assertion.NewIssuer(assertion.Config{
			Source: assertion.Source{Issuer: i.URL, Get: func(ctx context.Context, _ string) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}},
			Audiences: []string{assertiontest.Audience}, Now: time.Now, Fetched: func(*assertion.Issuer, bool, error) {},
		})
		v := &assertion.Verifier{}
		v.Trust([]*assertion.Issuer{slow})
		go slow.Run(t.Context())
		text := i.Sign(t, i.Claims(time.Now(), subject, nil))
		begin := time.Now()
		var atOnce, waited atomic.Int64
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() {
				if _, err := v.Verify(t.Context(), text, begin); err != assertion.ErrNoKeys {
					t.Error(err)
				}
				if time.Since(begin) == 0 {
					atOnce.Add(1)
				} else {
					waited.Add(1)
				}
			})
		}
		all.Wait()
		if atOnce.Load() != 300-256 || waited.Load() != 256 {
			t.Errorf("%d requests wait, and %d do not", waited.Load(), atOnce.Load())
		}
	})
}

// Only keys that differ are news, also if another one has the id of the one before.
func TestChangedKeysAreNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://issuer.test")
		var changes []bool
		issuer := assertion.NewIssuer(assertion.Config{
			Source: assertion.Source{Get: i.Get, Issuer: i.URL}, Audiences: []string{assertiontest.Audience}, Now: time.Now,
			Fetched: func(_ *assertion.Issuer, changed bool, _ error) { changes = append(changes, changed) },
		})
		v := &assertion.Verifier{}
		v.Trust([]*assertion.Issuer{issuer})
		go issuer.Run(t.Context())
		old := i.Sign(t, i.Claims(time.Now(), subject, nil))
		time.Sleep(7 * time.Minute)
		i.AddKey(t, assertiontest.RS256, assertiontest.RS256)
		i.Publish(assertiontest.RS256)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if want := []bool{true, false, true}; !slices.Equal(changes, want) {
			t.Errorf("the fetches bring changes: %v, want %v", changes, want)
		}
		if _, err := v.Verify(t.Context(), old, time.Now()); err != assertion.BadSignature {
			t.Errorf("an assertion of the key before: %v", err)
		}
		if _, err := v.Verify(t.Context(), i.Sign(t, i.Claims(time.Now(), subject, nil)), time.Now()); err != nil {
			t.Errorf("an assertion of the new key: %v", err)
		}
	})
}

// An issuer with one key need not give it an id. An id that is no text is not the same as none.
func TestSoleKeyNeedsNoID(t *testing.T) {
	t.Parallel()
	i := assertiontest.New(t, "https://issuer.test")
	i.Withdraw(assertiontest.ES256)
	i.Withdraw(assertiontest.EdDSA)
	v, _ := trust(t, i)
	claims := i.Claims(time.Now(), subject, nil)
	for header, want := range map[string]error{
		`{"alg":"RS256"}`:               nil,
		`{"alg":"RS256","kid":"rs256"}`: nil,
		`{"alg":"RS256","kid":""}`:      assertion.Malformed,
		`{"alg":"RS256","kid":7}`:       assertion.Malformed,
		`{"alg":"RS256","kid":null}`:    assertion.Malformed,
		`{"kid":"rs256"}`:               assertion.Malformed,
	} {
		if _, err := v.Verify(t.Context(), i.SignHeader(t, assertiontest.RS256, header, claims), time.Now()); err != want {
			t.Errorf("the header %s: %v, want %v", header, err, want)
		}
	}
}

func TestDocumentsOfAnIssuer(t *testing.T) {
	t.Parallel()
	const goodDiscovery = `{"issuer": "https://a.test", "jwks_uri": "https://a.test/keys"}`
	jwk := func(public any, change func(*jose.JSONWebKey)) string {
		key := jose.JSONWebKey{Key: public, KeyID: "a", Algorithm: "", Use: "sig"}
		change(&key)
		text, err := key.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	asIs := func(*jose.JSONWebKey) {}
	ecdsaKey := func(curve elliptic.Curve) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	rsaOf := func(bits int) *rsa.PublicKey { // no one needs its private key
		n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
		return &rsa.PublicKey{N: n, E: 65537}
	}
	p256 := ecdsaKey(elliptic.P256())
	good := jwk(p256.Public(), asIs)
	for name, c := range map[string]struct {
		discovery, keys string
		want            int
		wantError       string
	}{
		"good":                        {goodDiscovery, good, 1, ""},
		"no name":                     {`{"jwks_uri": "https://a.test/keys"}`, good, 0, "it has no issuer"},
		"no URL of keys":              {`{"issuer": "https://a.test"}`, good, 0, "jwks_uri is not an https URL"},
		"keys over HTTP":              {`{"issuer": "https://a.test", "jwks_uri": "http://a.test/keys"}`, good, 0, "jwks_uri is not an https URL"},
		"a member twice":              {`{"issuer": "https://a.test", "issuer": "https://a.test"}`, good, 0, "read the discovery document"},
		"a large discovery document":  {goodDiscovery + strings.Repeat(" ", 1<<20), good, 0, "larger than"},
		"a large key set":             {goodDiscovery, good + strings.Repeat(" ", 1<<20), 0, "larger than"},
		"no key":                      {goodDiscovery, "", 0, "has no key"},
		"two keys with one id":        {goodDiscovery, good + "," + jwk(ecdsaKey(elliptic.P256()).Public(), asIs), 1, ""},
		"RSA of 2048 bits":            {goodDiscovery, jwk(rsaOf(2048), asIs), 1, ""},
		"RSA of 1024 bits":            {goodDiscovery, jwk(rsaOf(1024), asIs), 0, "has no key"},
		"RSA of 4096 bits":            {goodDiscovery, jwk(rsaOf(4096), asIs), 1, ""},
		"RSA of 4097 bits":            {goodDiscovery, jwk(rsaOf(4097), asIs), 0, "has no key"},
		"P-384":                       {goodDiscovery, jwk(ecdsaKey(elliptic.P384()).Public(), asIs), 0, "has no key"},
		"a key for encryption":        {goodDiscovery, jwk(p256.Public(), func(k *jose.JSONWebKey) { k.Use = "enc" }), 0, "has no key"},
		"a key for another algorithm": {goodDiscovery, jwk(rsaOf(2048), func(k *jose.JSONWebKey) { k.Algorithm = "PS256" }), 0, "has no key"},
		"a private key":               {goodDiscovery, jwk(p256, asIs), 0, "has no key"},
		"a symmetric key":             {goodDiscovery, jwk([]byte("secret"), asIs), 0, "has no key"},
		"many keys":                   {goodDiscovery, strings.Repeat(good+",", 256) + good, 0, "more than 256 keys"},
		"a broken key":                {goodDiscovery, `{"kty":"EC"},` + good, 1, ""},
	} {
		got, err := assertion.ReadDocuments([]byte(c.discovery), []byte(`{"keys":[`+c.keys+`]}`))
		if got != c.want || (err == nil) != (c.wantError == "") || (err != nil && !strings.Contains(err.Error(), c.wantError)) {
			t.Errorf("%s: %d keys, %v; want %d, %q", name, got, err, c.want, c.wantError)
		}
	}
}

func TestClusterIssuerIsKnownByItsDocument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := assertiontest.New(t, "https://kubernetes.default.svc")
		i.Fail(true)
		cluster := assertion.NewIssuer(assertion.Config{
			Source:    assertion.Source{Get: i.Get, DiscoveryURL: "/.well-known/openid-configuration", KeysURL: "/keys"},
			Audiences: []string{assertiontest.Audience}, Cluster: true, Now: time.Now, Fetched: func(*assertion.Issuer, bool, error) {},
		})
		v := &assertion.Verifier{}
		v.Trust([]*assertion.Issuer{cluster})
		go cluster.Run(t.Context())
		text := i.Sign(t, i.Claims(time.Now(), subject, nil))
		if _, err := v.Verify(t.Context(), text, time.Now()); err != assertion.ErrNoKeys {
			t.Errorf("before its name is known: %v", err)
		}
		i.Fail(false)
		time.Sleep(11 * time.Second)
		if c, err := v.Verify(t.Context(), text, time.Now()); err != nil || !c.Cluster || c.Issuer != i.URL {
			t.Errorf("%+v, %v", c, err)
		}
		foreign := i.Sign(t, i.Claims(time.Now(), subject, map[string]any{"iss": "https://evil.test"}))
		if _, err := v.Verify(t.Context(), foreign, time.Now()); err != assertion.UntrustedIssuer {
			t.Errorf("an assertion of another issuer: %v", err)
		}
	})
}

func TestPasswordsAreNoAssertions(t *testing.T) {
	t.Parallel()
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT"}`))
	for _, text := range []string{
		"", ".", "..", "a.b.c", "Lantern-Orchard-27-Violet", "eyJ.eyJ.x", strings.Repeat(".", 100), header + ".e30.x",
		base64.RawURLEncoding.EncodeToString([]byte(`"alg"`)) + ".e30.x",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "..x",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + ".e30",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + ".e30.x.y",
	} {
		if assertion.HasForm(text) {
			t.Errorf("%q is taken for an assertion", text)
		}
	}
}

func FuzzVerify(f *testing.F) {
	i := assertiontest.New(f, "https://issuer.test")
	now := time.Now()
	good := i.SignWith(f, assertiontest.ES256, i.Claims(now, subject, nil))
	f.Add(good)
	for _, text := range i.Forgeries(f, now, subject) {
		if len(text) < 2<<10 { // the engine takes a minute to make a large one smaller
			f.Add(text)
		}
	}
	f.Add("..")
	trusted := assertion.NewIssuer(assertion.Config{
		Source: assertion.Source{Get: i.Get, Issuer: i.URL}, Audiences: []string{assertiontest.Audience}, Now: time.Now,
		Fetched: func(*assertion.Issuer, bool, error) {},
	})
	v := &assertion.Verifier{}
	v.Trust([]*assertion.Issuer{trusted})
	ctx, stop := context.WithCancel(context.Background())
	f.Cleanup(stop)
	go trusted.Run(ctx)
	if _, err := v.Verify(ctx, good, now); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := v.Verify(t.Context(), text, now)
		if err == nil && text != good {
			t.Fatalf("a forged assertion is good: %q", text)
		}
		if err != nil && c.Subject != "" && !errors.Is(err, assertion.Expired) {
			t.Fatalf("an unverified subject is returned: %q", text)
		}
		assertion.HasForm(text)
	})
}

func FuzzParseKeys(f *testing.F) {
	i := assertiontest.New(f, "https://issuer.test")
	for _, path := range []string{"/keys", "/.well-known/openid-configuration"} {
		raw, err := i.Document(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, raw)
	}
	f.Fuzz(func(_ *testing.T, discovery, keys []byte) {
		_, _ = assertion.ReadDocuments(discovery, keys)
	})
}
