package openapi_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const (
	secret  = "correct horse"
	someone = "11111111-2222-3333-4444-555555555555"
)

// world is a running service with users and tokens in every state that the APIs tell apart.
type world struct {
	*servertest.Service
	unsynced *servertest.Service // does not know its users yet
	keyless  *servertest.Service
	patient  *servertest.Service // its JWTs live so long that each has a record

	jwt, opaque             string // of ada
	admin                   string // an opaque token
	expired, revoked, ended string // opaque tokens: past their end, revoked, and of a revoked user
	stale                   string // a JWT of a user whose password has expired since
	assertion               string // of an issuer that the service trusts, for ada

	tokens     map[string]string   // opaque tokens by login, of users who are about to write too much
	patientJWT map[string]string   // JWTs of such users of the service patient
	many       map[string][]string // more tokens of such users than may be revoked at once
}

func newWorld(t *testing.T) *world {
	t.Helper()
	issuer := assertiontest.New(t, "https://ci.test")
	w := &world{
		Service:  servertest.New(t, servertest.Options{Assertions: servertest.Trust(t, issuer, nil)}),
		unsynced: servertest.New(t, servertest.Options{Unsynced: true}),
		keyless:  servertest.New(t, servertest.Options{}),
		patient: servertest.New(t, servertest.Options{Lifetimes: grant.Lifetimes{
			JWTDefault: 48 * time.Hour, JWTMaximum: 72 * time.Hour, OpaqueDefault: time.Hour, OpaqueMaximum: time.Hour,
		}}),
	}
	w.keyless.Keys.Use(token.Keys{})
	identity := directory.Identity{Issuer: issuer.URL, Subject: "repo:shop"}
	ada := w.Put(t, directory.User{Login: "ada", Email: "ada@example.com", Groups: []string{"operators"}, Identities: []directory.Identity{identity}}, secret)
	w.jwt, w.opaque = w.issueJWT(t, ada), w.issue(t, ada, grant.Order{Label: "laptop", Client: "cli"})
	w.admin = w.issue(t, w.Put(t, directory.User{Login: "root", Groups: []string{"wheel"}}, secret), grant.Order{})
	w.expired = w.issue(t, ada, grant.Order{Lifetime: time.Second})
	w.Advance(2 * time.Second)
	w.revoked = w.issue(t, ada, grant.Order{})
	id, err := w.Tokens.Inspect(t.Context(), w.revoked)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Grants.Revoke(t.Context(), id.Claims); err != nil {
		t.Fatal(err)
	}
	w.ended = w.issue(t, w.Put(t, directory.User{Login: "victor"}, secret), grant.Order{})
	w.Put(t, directory.User{Login: "victor", Revoked: true}, secret)
	w.putStale(t)
	w.assertion = issuer.Sign(t, issuer.Claims(w.Now(), identity.Subject, nil))
	w.putBusy(t)
	return w
}

// putBusy adds users who are about to write too much. Each of them reaches one limit.
func (w *world) putBusy(t *testing.T) {
	t.Helper()
	w.tokens, w.patientJWT = map[string]string{}, map[string]string{}
	for _, login := range []string{"lena", "liam", "tom", "tilda", "toni"} {
		w.tokens[login] = w.issue(t, w.Put(t, directory.User{Login: login}, secret), grant.Order{})
	}
	w.many = map[string][]string{}
	for _, login := range []string{"tess", "tula"} {
		u := w.Put(t, directory.User{Login: login}, secret)
		for range repetitions {
			w.many[login] = append(w.many[login], w.issue(t, u, grant.Order{}))
		}
	}
	for _, login := range []string{"rita", "rosa", "rolf", "tom", "theo", "tina"} {
		u := w.patient.Put(t, directory.User{Login: login}, secret)
		text, _, err := w.patient.Grants.JWT(t.Context(), u, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.patientJWT[login] = text
	}
}

// putStale adds a user whose only password has expired since a token was issued.
func (w *world) putStale(t *testing.T) {
	t.Helper()
	hash := servertest.Hash(t, secret)
	with := func(ends time.Time) *directory.User {
		c := &directory.Credentials{Revision: ends.String(), Passwords: []directory.Password{{Hash: hash, ExpiresAt: ends}}}
		return w.Put(t, directory.User{Login: "paula", Credentials: c})
	}
	w.stale = w.issueJWT(t, with(w.Now().Add(time.Hour)))
	with(w.Now().Add(-time.Second))
}

func (w *world) issueJWT(t *testing.T, u *directory.User) string {
	t.Helper()
	text, _, err := w.Grants.JWT(t.Context(), u, 0)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (w *world) issue(t *testing.T, u *directory.User, o grant.Order) string {
	t.Helper()
	text, err := w.Grants.Opaque(t.Context(), u, o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// call is a request that provokes an answer.
type call struct {
	operation string // method and path of the document
	status    int
	service   *servertest.Service

	path    string // if not that of the operation
	body    string
	headers []string

	// numbered makes each repetition another request: # in the body becomes its number.
	numbered bool
	// tokens do the same: # in the path and the body becomes the next of them.
	tokens []string
	// every is how far the clock of the service moves before each repetition.
	every time.Duration
}

// repetitions is how often a call is repeated until it has its status.
const repetitions = 400

// ask sends the request until the answer has the status, and checks each answer. A client that wants
// HTML asks once more, if the document has HTML for the answer.
func (c call) ask(t *testing.T, a *answers) {
	t.Helper()
	method, path, _ := strings.Cut(c.operation, " ")
	response := a.root.get("paths", path, strings.ToLower(method), "responses", strconv.Itoa(c.status))
	if response.get("content", "text/html; charset=utf-8").exists() {
		html := c
		html.headers = append(slices.Clone(c.headers), "Accept: text/html")
		html.until(t, a, method, path)
	}
	c.until(t, a, method, path)
}

func (c call) until(t *testing.T, a *answers, method, path string) {
	t.Helper()
	target := path
	if c.path != "" {
		target = c.path
	}
	limit := 1
	if c.status == http.StatusTooManyRequests || c.status == http.StatusConflict {
		limit = repetitions
	}
	var got servertest.Answer
	for i := range limit {
		body, address := c.fill(c.body, i), c.fill(target, i)
		c.service.Advance(c.every)
		got = c.service.Send(t, method, address, body, c.headers...)
		a.check(t, method, path, got)
		if got.Status < http.StatusBadRequest {
			a.checkRequest(t, method, path, body)
		}
		if got.Status == c.status {
			return
		}
	}
	t.Errorf("%s %s with %q answers\n%s\nwant %d", method, target, c.headers, got, c.status)
}

// fill returns a text for a repetition of the call.
func (c call) fill(text string, repetition int) string {
	switch {
	case c.numbered:
		return strings.ReplaceAll(text, "#", strconv.Itoa(repetition))
	case c.tokens != nil:
		return strings.ReplaceAll(text, "#", c.tokens[repetition%len(c.tokens)])
	}
	return text
}

const (
	jsonType = "Content-Type: application/json"
	formType = "Content-Type: application/x-www-form-urlencoded"
)

func basic(login string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+secret))
}

func bearer(text string) string { return "Authorization: Bearer " + text }

func authentication(text string) string { return "X-Authentication: " + text }

// large is a body above the limit.
var large = `{"a":"` + strings.Repeat("a", 70<<10) + `"}`

func form(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}
