package oauth_test

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const revocationsPath = "/oauth2/revocations"

type feedAnswer struct {
	Instance, Cursor string
	AsOf             time.Time `json:"as_of"`
	Complete, More   bool
	MaximumLifetime  int64    `json:"maximum_lifetime"`
	UnknownTenants   []string `json:"unknown_tenants"`
	Users            []struct {
		UID          string
		IssuedBefore *int64 `json:"issued_before"`
		Gone         bool
	}
	Tokens []struct {
		ID, UID   string
		ExpiresAt int64 `json:"expires_at"`
	}
}

// follow asks for revocations as bob.
func (s service) follow(t testing.TB, query string, headers ...string) feedAnswer {
	t.Helper()
	a := s.Send(t, "GET", revocationsPath+query, "", append(headers, basic("bob", "bob-secret"))...)
	if a.Status != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got\n%s", a)
	}
	var f feedAnswer
	if err := json.Unmarshal([]byte(a.Body), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// about returns what an answer says of a user.
func (f feedAnswer) about(login string) string {
	for _, u := range f.Users {
		switch {
		case u.UID != servertest.UID(login):
		case u.Gone:
			return "gone"
		case *u.IssuedBefore == directory.EveryToken:
			return "every token"
		default:
			return fmt.Sprint(*u.IssuedBefore)
		}
	}
	return "nothing"
}

func TestRevocationsNeedCredentials(t *testing.T) {
	t.Parallel()
	s := newService(t)
	assertRefused(t, s.Send(t, "GET", revocationsPath, ""), http.StatusUnauthorized, "invalid_client")
	assertRefused(t, s.Send(t, "GET", revocationsPath, "", basic("bob", "wrong")), http.StatusUnauthorized, "invalid_client")
	assertRefused(t, s.Send(t, "GET", revocationsPath, "", "Authorization: Bearer x"), http.StatusUnauthorized, "invalid_token")
	assertRefused(t, s.Send(t, "GET", revocationsPath+"?wait=soon", "", basic("bob", "bob-secret")), http.StatusBadRequest, "invalid_request")
	signed, _ := issue(t, s, "alice")
	if a := s.Send(t, "GET", revocationsPath, "", "Authorization: Bearer "+signed); a.Status != http.StatusOK {
		t.Errorf("got\n%s", a)
	}
	assertRefused(t, newUnsyncedService(t).Send(t, "GET", revocationsPath, "", basic("bob", "bob-secret")), http.StatusServiceUnavailable, "temporarily_unavailable")
}

func TestRevocationsTellWhatMakesTokensVoid(t *testing.T) {
	t.Parallel()
	s := newService(t)
	begin := s.follow(t, "")
	if !begin.Complete || begin.More || begin.MaximumLifetime != 86400 || begin.Instance == "" || s.Now().Sub(begin.AsOf) > time.Minute {
		t.Errorf("got %+v", begin)
	}
	if begin.about("revoked") != "every token" || begin.about("expired") != "every token" || begin.about("alice") != "nothing" {
		t.Errorf("got %+v", begin)
	}
	signed, _ := issue(t, s, "alice")
	id, err := s.Tokens.Authenticate(t.Context(), signed)
	if err != nil || s.Grants.Revoke(t.Context(), id.Claims) != nil {
		t.Fatal(err)
	}
	now := s.Now()
	s.Directory.RevokeTokens(servertest.UID("alice"), now)
	s.Directory.Delete("gatehouse-users/raw")
	rival := *user(t, s, "plus")
	rival.Key, rival.UID, rival.Created = "gatehouse-users/older", servertest.UID("older"), now.Add(-time.Hour)
	young := *user(t, s, "plus")
	young.Created = now
	s.Put(t, young)
	s.Put(t, rival)
	next := s.follow(t, "?after="+begin.Cursor)
	if next.Complete || next.about("alice") != fmt.Sprint(now.Unix()+1) || next.about("raw") != "gone" || next.about("plus") != "every token" || next.about("revoked") != "nothing" {
		t.Errorf("got %+v", next)
	}
	if len(next.Tokens) != 1 || next.Tokens[0].ID != id.Claims.ID || next.Tokens[0].UID != id.Claims.UID || next.Tokens[0].ExpiresAt != id.Claims.ExpiresAt.Unix() {
		t.Errorf("got %+v", next)
	}
	s.Directory.Delete(rival.Key)
	if got := s.follow(t, "?after="+next.Cursor); got.about("plus") != "0" {
		t.Errorf("a user who has the login back: %+v", got)
	}
}

func TestCursorOfAnotherInstanceGetsEverything(t *testing.T) {
	t.Parallel()
	first, second := newService(t), newService(t)
	first.follow(t, "")
	for range 3 { // the number in the cursor of the first is one that the second has passed
		second.Directory.RevokeTokens(servertest.UID("alice"), second.Now())
		second.Advance(time.Minute)
	}
	for _, cursor := range []string{first.follow(t, "").Cursor, "x", "x-3", second.follow(t, "").Instance + "-y"} {
		begun := time.Now()
		got := second.follow(t, "?wait=30s&after="+cursor)
		if !got.Complete || got.about("alice") == "nothing" || got.Instance == first.follow(t, "").Instance {
			t.Errorf("cursor %q: %+v", cursor, got)
		}
		if time.Since(begun) > 20*time.Second {
			t.Errorf("cursor %q waited", cursor)
		}
	}
}

func TestRevocationsComeInPagesThatLackNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const users = 2500
	for i := range users {
		s.Directory.Put(&directory.User{Key: fmt.Sprint("ns/", i), UID: fmt.Sprint(i), Login: fmt.Sprint(i), TokensRevokedAt: s.Now()})
	}
	seen := map[string]bool{}
	query, pages := "", 0
	for {
		a := s.follow(t, query)
		if pages++; len(a.Users)+len(a.Tokens) > 1000 || a.Complete != (query == "") {
			t.Errorf("a page of %d users and %d tokens, complete: %t", len(a.Users), len(a.Tokens), a.Complete)
		}
		for _, u := range a.Users {
			seen[u.UID] = true
		}
		if query = "?after=" + a.Cursor; !a.More {
			break
		}
	}
	for i := range users {
		if !seen[fmt.Sprint(i)] {
			t.Fatalf("user %d is on none of %d pages", i, pages)
		}
	}
}

func TestLongAnswerIsCompressedForThoseWhoTakeIt(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for i := range 1000 {
		s.Directory.Put(&directory.User{Key: fmt.Sprint("ns/", i), UID: servertest.UID(fmt.Sprint(i)), Login: fmt.Sprint(i), TokensRevokedAt: s.Now()})
	}
	auth := basic("bob", "bob-secret")
	for coding, zipped := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "identity": false} {
		a := s.Send(t, "GET", revocationsPath, "", auth, "Accept-Encoding: "+coding)
		body := io.Reader(strings.NewReader(a.Body))
		if (a.Header.Get("Content-Encoding") == "gzip") != zipped {
			t.Errorf("%q: Content-Encoding %q", coding, a.Header.Get("Content-Encoding"))
			continue
		}
		if zipped {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		plain, err := io.ReadAll(body)
		if err != nil || !json.Valid(plain) {
			t.Errorf("%q: %v", coding, err)
		}
		if limit := 80 << 10; len(plain) > limit {
			t.Errorf("1,000 changes take %d bytes", len(plain))
		}
	}
}

func TestRevocationAnswersThoseWhoWait(t *testing.T) {
	t.Parallel()
	s := newService(t)
	cursor := s.follow(t, "").Cursor
	for name, ask := range map[string]func() feedAnswer{
		"parameter":  func() feedAnswer { return s.follow(t, "?wait=20s&after="+cursor) },
		"preference": func() feedAnswer { return s.follow(t, "?after="+cursor, "Prefer: respond-async, wait=20") },
		"HTTP/2": func() feedAnswer {
			own := s.Client
			defer func() { s.Client = own }()
			s.Client = overHTTP2(t, s)
			return s.follow(t, "?wait=20s&after="+cursor)
		},
	} {
		t.Run(name, func(t *testing.T) {
			answered := make(chan feedAnswer, 1)
			begun := time.Now()
			go func() { answered <- ask() }()
			s.awaitWaiting(t, 1)
			s.Directory.RevokeTokens(servertest.UID("alice"), s.Now())
			a := <-answered
			if a.about("alice") == "nothing" || time.Since(begun) > 15*time.Second {
				t.Errorf("after %s: %+v", time.Since(begun), a)
			}
			cursor = a.Cursor
			s.Advance(2 * time.Second)
		})
	}
	if a := s.follow(t, "?wait=1&after="+cursor); len(a.Users) != 0 || a.Cursor != cursor {
		t.Errorf("nothing has changed: %+v", a)
	}
}

// A replica that cannot read a namespace does not know what is void there. Whoever waits hears of it at
// once, and so does whoever begins.
func TestRevocationsNameTheTenantsThatAreNotKnown(t *testing.T) {
	t.Parallel()
	s := newService(t)
	cursor := s.follow(t, "").Cursor
	declare := func(o *directory.Outage) feedAnswer {
		answered := make(chan feedAnswer, 1)
		go func() { answered <- s.follow(t, "?wait=20s&after="+cursor) }()
		s.awaitWaiting(t, 1)
		s.Directory.SetOutage(o)
		a := <-answered
		cursor = a.Cursor
		return a
	}
	outage := &directory.Outage{
		Namespaces: map[string]bool{"team-a-users": true}, MayHave: func(string) bool { return false }, Tenants: []string{"", "team-a"},
	}
	if a := declare(outage); a.Complete || !slices.Equal(a.UnknownTenants, outage.Tenants) {
		t.Errorf("got %+v", a)
	}
	if a := s.follow(t, ""); !a.Complete || !slices.Equal(a.UnknownTenants, outage.Tenants) {
		t.Errorf("the whole list: %+v", a)
	}
	if a := declare(nil); a.UnknownTenants != nil {
		t.Errorf("everything is known again: %+v", a)
	}
}

// The clock of the service ends the account and then the wait; nothing is written meanwhile.
func TestPassingOfTimeAnswersThoseWhoWait(t *testing.T) {
	t.Parallel()
	s := newService(t)
	changeAlice(t, s, func(u *directory.User) { u.ExpiresAt = s.Now().Add(time.Hour) })
	cursor := s.follow(t, "").Cursor
	answered := make(chan feedAnswer, 1)
	go func() { answered <- s.follow(t, "?wait=30s&after="+cursor) }()
	s.awaitWaiting(t, 1)
	s.Advance(time.Hour)
	if a := <-answered; a.about("alice") != "every token" {
		a = s.follow(t, "?after="+a.Cursor) // the clock may have ended the wait first
		if a.about("alice") != "every token" {
			t.Errorf("got %+v", a)
		}
	}
}

func TestDrainAnswersThoseWhoWait(t *testing.T) {
	t.Parallel()
	draining := make(chan struct{})
	s := service{servertest.New(t, servertest.Options{PasswordCacheTTL: time.Minute, Draining: draining})}
	s.Put(t, directory.User{Login: "bob"}, "bob-secret")
	cursor := s.follow(t, "").Cursor
	answered := make(chan time.Duration, 1)
	begun := time.Now()
	go func() { s.follow(t, "?wait=30s&after="+cursor); answered <- time.Since(begun) }()
	s.awaitWaiting(t, 1)
	close(draining)
	if took := <-answered; took > 20*time.Second {
		t.Errorf("answered after %s", took)
	}
}

func TestThousandWaitingVerifiersTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a thousand connections")
	}
	s := newService(t)
	signed, _ := issue(t, s, "bob")
	cursor := s.follow(t, "").Cursor
	const verifiers = 900 // the harness takes 1,000 connections
	address := strings.TrimPrefix(s.URL, "https://")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CA)
	trust := &tls.Config{RootCAs: roots}
	connections := make([]*tls.Conn, verifiers)
	before, goroutines := inUse(), runtime.NumGoroutine()
	for i := range connections {
		c, err := tls.Dial("tcp", address, trust)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := fmt.Fprintf(c, "GET %s?wait=30s&after=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", revocationsPath, cursor, signed); err != nil {
			t.Fatal(err)
		}
		connections[i] = c
	}
	s.awaitWaiting(t, verifiers)
	used, more := inUse()-before, runtime.NumGoroutine()-goroutines
	t.Logf("%d waiting verifiers take %d KiB each, the client's half of the connection included, and %d goroutines", verifiers, used/verifiers>>10, more)
	if limit := uint64(32<<20) / 1000 * verifiers; used > limit {
		t.Errorf("%d waiting verifiers take %d MiB", verifiers, used>>20)
	}
	if more > 20 {
		t.Errorf("%d waiting verifiers take %d goroutines", verifiers, more)
	}
	revoked := time.Now()
	s.Directory.RevokeTokens(servertest.UID("alice"), s.Now())
	for _, c := range connections {
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || !strings.Contains(string(body), servertest.UID("alice")) {
			t.Errorf("%v in %s", err, body)
		}
	}
	t.Logf("all of them have heard after %s", time.Since(revoked))
}

// overHTTP2 returns a client whose connections cannot be held.
func overHTTP2(t *testing.T, s service) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// awaitWaiting returns when as many requests wait for revocations.
func (s service) awaitWaiting(t testing.TB, n float64) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		families, err := s.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "gatehouse_revocations_waiting" && f.GetMetric()[0].GetGauge().GetValue() == n {
				return
			}
		}
		select {
		case <-deadline:
			t.Fatalf("fewer than %v requests wait", n)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// inUse returns the memory of live objects and stacks.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
