package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
)

// badIssuer is an issuer that does not do what it should. It has the keys of a good one.
type badIssuer struct {
	*assertiontest.Issuer
	web *httptest.Server
}

// newBadIssuer returns an issuer that answers with a function. It gets the document that a good
// issuer would send.
func newBadIssuer(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, document []byte)) badIssuer {
	t.Helper()
	var b badIssuer
	b.web = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document, err := b.Document(r.URL.Path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		answer(w, r, document)
	}))
	t.Cleanup(b.web.Close)
	b.Issuer = assertiontest.New(t, b.web.URL)
	return b
}

// newBadIssuers returns an issuer for each way in which one can do harm.
func newBadIssuers(t *testing.T, good *assertiontest.Issuer) map[string]badIssuer {
	t.Helper()
	isKeys := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/keys") }
	issuers := map[string]badIssuer{
		"slow": newBadIssuer(t, func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() }),
		"down": newBadIssuer(t, func(http.ResponseWriter, *http.Request, []byte) {}),
		"huge": newBadIssuer(t, func(w http.ResponseWriter, r *http.Request, document []byte) {
			if isKeys(r) {
				document = append(document, strings.Repeat(" ", 1<<20)...)
			}
			_, _ = w.Write(document)
		}),
		"redirecting": newBadIssuer(t, func(w http.ResponseWriter, r *http.Request, document []byte) {
			if isKeys(r) {
				http.Redirect(w, r, good.URL+"/keys", http.StatusFound)
				return
			}
			_, _ = w.Write(document)
		}),
		"lying": newBadIssuer(t, func(w http.ResponseWriter, _ *http.Request, document []byte) { _, _ = w.Write(document) }),
	}
	issuers["down"].web.Close()
	issuers["lying"].Lie(good.URL)
	return issuers
}

// watchedIssuer is a good issuer that notes when its keys are fetched.
type watchedIssuer struct {
	standIn
	mu      sync.Mutex
	fetches []time.Time
}

func newWatchedIssuer(t *testing.T) *watchedIssuer {
	t.Helper()
	i := &watchedIssuer{}
	i.standIn = newStandIn(t, func(r *http.Request) {
		if r.URL.Path != "/keys" {
			return
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.fetches = append(i.fetches, time.Now())
	})
	return i
}

func (i *watchedIssuer) times() []time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.fetches)
}

// crowd is a number of clients that log in until stop is called.
type crowd struct {
	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup

	mu       sync.Mutex
	statuses map[string]map[int]int
	took     map[string][]time.Duration
}

// add adds a client. Its secret is a new one for each login.
func (c *crowd) add(name string, client loginClient, secret func(n int) string) {
	c.all.Go(func() {
		for n := 0; c.ctx.Err() == nil; n++ {
			text := secret(n)
			begun := time.Now()
			status, err := client.logIn(c.ctx, text)
			if c.ctx.Err() != nil {
				return
			}
			if err != nil {
				status = 0
			}
			c.count(name, status, time.Since(begun))
		}
	})
}

func (c *crowd) count(name string, status int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.statuses[name] == nil {
		c.statuses[name] = map[int]int{}
	}
	c.statuses[name][status]++
	c.took[name] = append(c.took[name], took)
}

// p99 returns how long all but one in a hundred logins of a client took at most.
func (c *crowd) p99(name string) time.Duration {
	slices.Sort(c.took[name])
	return c.took[name][len(c.took[name])*99/100]
}

// Issuers that are slow, down, huge, redirecting or lying log no one in, and hold up no one who logs
// in with a password or with a token of another issuer. Neither does a flood of tokens with unknown
// keys, which costs their issuer one fetch in ten seconds.
func TestBadIssuersHarmNoOtherLogins(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	good := newWatchedIssuer(t)
	bad := newBadIssuers(t, good.Issuer)
	trusted := "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n"
	users := `
apiVersion: v1
kind: Secret
metadata: {name: jean, namespace: gatehouse-users}
stringData: {password: Lantern-Orchard-27-Violet}
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: jean, namespace: gatehouse-users}
spec:
  passwords: [{plaintextFrom: {secretKeyRef: {name: jean, key: password}}}]
  identities:
`
	issuers := []*assertiontest.Issuer{good.Issuer}
	for _, b := range bad {
		issuers = append(issuers, b.Issuer)
	}
	for _, i := range issuers {
		i.AddKey(t, "unknown", assertiontest.ES256)
		trusted += fmt.Sprintf("- issuer:\n    url: %s\n    audiences: [%s]\n    certificateAuthority: |\n      %s\n", i.URL, assertiontest.Audience, indented(good.ca))
		users += fmt.Sprintf("  - federated: {issuer: %q, subject: jean}\n", i.URL)
	}
	base, ca := runStandalone(t, users, trusted)
	client := newLoginClient(t, base, ca, "jean")
	signed := func(i *assertiontest.Issuer, key string) func(int) string {
		return func(n int) string { return i.SignWith(t, key, i.Claims(time.Now(), "jean", map[string]any{"jti": n})) }
	}
	of := func(signer *assertiontest.Issuer, issuer string) func(int) string {
		return func(n int) string {
			return signer.Sign(t, signer.Claims(time.Now(), "jean", map[string]any{"jti": n, "iss": issuer}))
		}
	}
	eventually(t, 30*time.Second, func() bool {
		status, err := client.logIn(t.Context(), signed(good.Issuer, assertiontest.ES256)(0))
		return err == nil && status == http.StatusOK
	})

	c := &crowd{statuses: map[string]map[int]int{}, took: map[string][]time.Duration{}}
	c.ctx, c.stop = context.WithCancel(t.Context())
	c.add("password", client, func(int) string { return "Lantern-Orchard-27-Violet" })
	c.add("good issuer", client, signed(good.Issuer, assertiontest.ES256))
	for name, b := range bad {
		c.add(name, client, signed(b.Issuer, assertiontest.ES256))
	}
	c.add("good issuer, key of the lying one", client, of(bad["lying"].Issuer, good.URL))
	c.add("redirecting issuer, key of the good one", client, of(good.Issuer, bad["redirecting"].URL))
	for range 4 {
		c.add("flood of unknown keys", client, signed(good.Issuer, "unknown"))
	}
	eventually(t, 60*time.Second, func() bool { return len(good.times()) >= 3 }) // two for the flood
	c.stop()
	c.all.Wait()

	for name, statuses := range c.statuses {
		t.Logf("%s: %v, p99 %s", name, statuses, c.p99(name))
		harmless := name == "password" || name == "good issuer"
		if harmless && (len(statuses) != 1 || statuses[http.StatusOK] == 0) {
			t.Errorf("%s: the answers are %v", name, statuses)
		}
		if !harmless && (statuses[http.StatusOK] > 0 || statuses[0] > 0) {
			t.Errorf("%s: the answers are %v", name, statuses)
		}
		if p99 := c.p99(name); harmless && p99 >= 2*time.Second {
			t.Errorf("%s: the p99 of the logins is %s, as long as the wait for an issuer", name, p99)
		}
	}
	fetches := good.times()
	for n := 1; n < len(fetches); n++ {
		if pause := fetches[n].Sub(fetches[n-1]); pause < 9*time.Second { // a request may be late, and the next one not
			t.Errorf("a fetch of the keys %s after the one before", pause)
		}
	}
}
