package assertion_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":1}`)) + ".e30.x",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "..x",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + ".e30.x y",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + ".e30",
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
		f.Add(text)
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
		assertion.ReadDocuments(discovery, keys)
	})
}
