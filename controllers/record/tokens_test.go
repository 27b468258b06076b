package record

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// fixture is a namespace that belongs to the test, with a service account that has the role of the
// service there.
type fixture struct{ apitest.Restricted }

func newFixture(t testing.TB) fixture {
	t.Helper()
	return fixture{apitest.NewRestricted(t, apitest.UsersRole)}
}

// replica returns the Tokens of another replica, with its own connection and directory.
func (b fixture) replica(t testing.TB, users ...*directory.User) *Tokens {
	t.Helper()
	d := directory.New()
	for _, u := range users {
		copied := *u
		d.Put(&copied)
	}
	c := apitest.NewClient(t, b.Config, b.RESTMapper())
	return NewTokens(Config{Client: c, Revocations: c, Directory: d, Namespace: b.Namespace, Now: time.Now})
}

func (b fixture) tokens(t testing.TB) []authv1alpha1.Token {
	t.Helper()
	var list authv1alpha1.TokenList
	if err := b.List(context.Background(), &list, client.InNamespace(b.Namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// tokenNamed returns the only Token whose name has this prefix.
func (b fixture) tokenNamed(t testing.TB, prefix string) authv1alpha1.Token {
	t.Helper()
	tokens := slices.DeleteFunc(b.tokens(t), func(o authv1alpha1.Token) bool { return !strings.HasPrefix(o.Name, prefix) })
	if len(tokens) != 1 {
		t.Fatalf("got %d tokens named %s..., want 1", len(tokens), prefix)
	}
	return tokens[0]
}

// newRecord returns the record of a new token, as the service makes it.
func newRecord(u *directory.User, label string) directory.Record {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return directory.Record{
		ID: token.NewID(), UserKey: u.Key, UserUID: u.UID, Kind: token.KindOpaque, Label: label,
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

func isLive(r directory.Record) bool { return r.Live(time.Now()) }

func mustCreate(t testing.TB, records *Tokens, r directory.Record) directory.Record {
	t.Helper()
	kept, err := records.Create(context.Background(), r, isLive)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func mustRevoke(t testing.TB, records *Tokens, r directory.Record) {
	t.Helper()
	if err := records.Revoke(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if known, _ := records.Directory.Record(r.UserUID, r.ID); !known.Revoked {
		t.Error("the directory does not have the revocation")
	}
}

func TestLabelledOnAnotherReplica(t *testing.T) {
	b := newFixture(t)
	u, another := b.AddUser(t), b.AddUser(t)
	made := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))
	elsewhere := b.replica(t, u)
	found, ok, err := elsewhere.Labelled(t.Context(), u, "ci")
	if err != nil || !ok || found != made {
		t.Errorf("got %+v, %t, %v, want %+v", found, ok, err, made)
	}
	if found, ok, err := elsewhere.Labelled(t.Context(), u, "CI"); ok || err != nil {
		t.Errorf("another label: %+v, %v", found, err)
	}
	if found, ok, err := elsewhere.Labelled(t.Context(), another, "ci"); ok || err != nil {
		t.Errorf("another user: %+v, %v", found, err)
	}
	mustRevoke(t, elsewhere, found)
	if found, ok, err := elsewhere.Labelled(t.Context(), u, "ci"); err != nil || ok {
		t.Errorf("after its revocation: %+v, %t, %v", found, ok, err)
	}
}

func TestConcurrentCallersShareOneToken(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	const callers = 100
	labels := 0
	for replicas, rounds := range map[int]int{2: 80, 10: 10} { // together fewer than the labels that a user may have
		var records []*Tokens
		for range replicas {
			records = append(records, b.replica(t, u))
		}
		for round := range rounds {
			labels++
			label := fmt.Sprintf("label %d of %d replicas", round, replicas)
			kept := make([]directory.Record, callers)
			var all sync.WaitGroup
			for i := range callers {
				all.Go(func() { kept[i] = mustCreate(t, records[i%replicas], newRecord(u, label)) })
			}
			all.Wait()
			for _, r := range kept {
				if r != kept[0] {
					t.Fatalf("%s: got two tokens, %s and %s", label, r.ID, kept[0].ID)
				}
			}
			for _, r := range records {
				if got, _ := r.Directory.Record(kept[0].UserUID, kept[0].ID); got != kept[0] {
					t.Fatalf("%s: a directory holds %+v, want %+v", label, got, kept[0])
				}
			}
		}
	}
	if got := len(b.tokens(t)); got != labels {
		t.Errorf("got %d records, want %d", got, labels)
	}
}

func TestCreateReturnsExistingRecord(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	first := newRecord(u, "ß \"quoted\" 日本")
	first.Description, first.Client = "nul \x00, line\u2028, "+strings.Repeat("x", 1000), strings.Repeat("y", grant.MaximumText)
	mustCreate(t, b.replica(t, u), first)

	if got := mustCreate(t, b.replica(t, u), newRecord(u, first.Label)); got != first {
		t.Errorf("got token %s of %v, want %s of %v and everything else as it was", got.ID, got.IssuedAt, first.ID, first.IssuedAt)
	}
	owner := b.tokens(t)[0].OwnerReferences
	if len(owner) != 1 || string(owner[0].UID) != u.UID || owner[0].Kind != "User" {
		t.Errorf("the owner of the record is %v, want the user", owner)
	}
}

func TestLabelsAreSeparatePerUser(t *testing.T) {
	b := newFixture(t)
	u, other := b.AddUser(t), b.AddUser(t)
	records := b.replica(t, u, other)
	if mustCreate(t, records, newRecord(u, "ci")).ID == mustCreate(t, records, newRecord(other, "ci")).ID {
		t.Error("two users share one token")
	}
}

func TestReplacedTokenStaysRevoked(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	first := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))
	mustRevoke(t, b.replica(t, u), first)

	second := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))

	if second.ID == first.ID {
		t.Fatal("the revoked token was handed out again")
	}
	if o := b.tokenNamed(t, "label-"); o.Spec.TokenID != second.ID || o.Spec.Revoked {
		t.Errorf("the label belongs to token %s, revoked %t, want %s", o.Spec.TokenID, o.Spec.Revoked, second.ID)
	}
	if o := b.tokenNamed(t, "token-"); o.Spec.TokenID != first.ID || !o.Spec.Revoked {
		t.Errorf("separate record of token %s, revoked %t, want %s revoked", o.Spec.TokenID, o.Spec.Revoked, first.ID)
	}
}

func TestRevocationWithoutLabelIsRespected(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	first := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))
	unlabelled := first
	unlabelled.Label = ""
	mustRevoke(t, b.replica(t, u), unlabelled)

	if mustCreate(t, b.replica(t, u), newRecord(u, "ci")).ID == first.ID {
		t.Error("the revoked token was handed out again")
	}
}

func TestExpiredTokenIsReplaced(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	first := newRecord(u, "ci")
	first.IssuedAt, first.ExpiresAt = first.IssuedAt.Add(-time.Hour), first.IssuedAt.Add(-time.Second)
	mustCreate(t, b.replica(t, u), first)
	mustRevoke(t, b.replica(t, u), first)

	second := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))

	if tokens := b.tokens(t); len(tokens) != 1 || tokens[0].Spec.TokenID != second.ID {
		t.Errorf("got %d records, want only that of the new token", len(tokens))
	}
}

func TestReplicasAgreeOnReplacement(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	for range 20 {
		old := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))
		mustRevoke(t, b.replica(t, u), old)
		kept := make([]directory.Record, 6)
		var all sync.WaitGroup
		for i := range kept {
			all.Go(func() { kept[i] = mustCreate(t, b.replica(t, u), newRecord(u, "ci")) })
		}
		all.Wait()
		for _, r := range kept {
			if r.ID != kept[0].ID || r.ID == old.ID {
				t.Fatalf("got tokens %s and %s as replacements of %s, want one new token", r.ID, kept[0].ID, old.ID)
			}
		}
		mustRevoke(t, b.replica(t, u), kept[0])
	}
	for _, o := range b.tokens(t) {
		if !o.Spec.Revoked {
			t.Errorf("token %s is no longer revoked", o.Name)
		}
	}
}

func TestRevokeUsesLabelledRecord(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	r := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))
	mustRevoke(t, b.replica(t, u), r)
	if o := b.tokenNamed(t, ""); !strings.HasPrefix(o.Name, "label-") || !o.Spec.Revoked {
		t.Errorf("got record %s, revoked %t", o.Name, o.Spec.Revoked)
	}
}

func TestRevokeSparesSuccessor(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	old := newRecord(u, "ci")
	successor := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))
	mustRevoke(t, b.replica(t, u), old) // by a replica that does not know the successor
	if o := b.tokenNamed(t, "label-"); o.Spec.TokenID != successor.ID || o.Spec.Revoked {
		t.Error("the successor was revoked instead")
	}
	if o := b.tokenNamed(t, "token-"); o.Spec.TokenID != old.ID || !o.Spec.Revoked {
		t.Error("the token itself was not revoked")
	}
}

func TestRevokeIsIdempotent(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	for _, label := range []string{"", "ci"} {
		r := newRecord(u, label)
		if label != "" {
			mustCreate(t, b.replica(t, u), r)
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				records := b.replica(t, u)
				mustRevoke(t, records, r)
				mustRevoke(t, records, r)
			})
		}
		all.Wait()
	}
	for _, o := range b.tokens(t) {
		if !o.Spec.Revoked {
			t.Errorf("token %s is not revoked", o.Name)
		}
	}
	if got := len(b.tokens(t)); got != 2 {
		t.Errorf("got %d records, want 2", got)
	}
}

func TestRevokeUserNeverMovesBack(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	base := time.Now().Add(-time.Hour)
	var all sync.WaitGroup
	for _, i := range rand.Perm(30) {
		all.Go(func() {
			records, at := b.replica(t, u), base.Add(time.Duration(i)*time.Minute)
			if err := records.RevokeUser(t.Context(), u, at); err != nil {
				t.Error(err)
			}
			if known, _ := records.Directory.ByUID(u.UID); known.CheckToken(at) == nil {
				t.Error("the directory does not have the revocation")
			}
		})
	}
	all.Wait()
	var o authv1alpha1.User
	if err := b.Get(t.Context(), b.Key(u), &o); err != nil {
		t.Fatal(err)
	}
	if want := base.Add(29 * time.Minute).Truncate(time.Second); !o.Status.TokensRevokedAt.Time.Equal(want) {
		t.Errorf("tokens are void up to %v, want %v", o.Status.TokensRevokedAt, want)
	}
}

func TestRevokeUserOfFormerUser(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	former := *u
	former.UID = "00000000-0000-4000-8000-000000000000"
	gone := *u
	gone.Key += "-gone"
	for _, u := range []*directory.User{&former, &gone} {
		if err := b.replica(t, u).RevokeUser(t.Context(), u, time.Now()); err != nil {
			t.Error(err)
		}
	}
	var o authv1alpha1.User
	if err := b.Get(t.Context(), b.Key(u), &o); err != nil || o.Status.TokensRevokedAt != nil {
		t.Errorf("the tokens of the new user of the same name are void, or error %v", err)
	}
}

func TestFailuresAreUnavailable(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	labelled := mustCreate(t, b.replica(t, u), newRecord(u, "ci"))
	silent, refusing, doomed := b, b, newFixture(t)
	silent.Config, refusing.Config = withUnresponsiveHost(t, b.Config, true), withUnresponsiveHost(t, b.Config, false)
	doomedUser := doomed.AddUser(t)
	if err := doomed.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: doomed.Namespace}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		records *Tokens
		user    *directory.User
		only    string // the operation that fails; empty: all
	}{
		"an API server that does not answer":     {silent.replica(t, u), u, ""},
		"an API server that refuses connections": {refusing.replica(t, u), u, ""},
		"a namespace that is being deleted":      {doomed.replica(t, doomedUser), doomedUser, "create"},
		"a namespace that does not exist":        {b.replica(t, u), &directory.User{Key: "nowhere/jj", UID: u.UID}, "create"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			operations := map[string]func() error{
				"create": func() error {
					_, err := c.records.Create(t.Context(), newRecord(c.user, "new"), isLive)
					return err
				},
				"revoke":      func() error { return c.records.Revoke(t.Context(), labelled) },
				"revoke user": func() error { return c.records.RevokeUser(t.Context(), c.user, time.Now()) },
				"look up": func() error {
					_, _, err := c.records.Labelled(t.Context(), c.user, "ci")
					return err
				},
			}
			for operation, do := range operations {
				if c.only != "" && operation != c.only {
					continue
				}
				started := time.Now()
				if err := do(); !errors.Is(err, grant.ErrUnavailable) {
					t.Errorf("%s: got error %v, want ErrUnavailable", operation, err)
				}
				if took := time.Since(started); took > 6*time.Second {
					t.Errorf("%s: took %v to fail, want 6s at most", operation, took)
				}
			}
			if r, _ := c.records.Directory.Record(labelled.UserUID, labelled.ID); r.Revoked {
				t.Error("the directory holds a revocation that was not stored")
			}
		})
	}
}

// withUnresponsiveHost returns a copy of config for an address that accepts connections and never
// responds or, if listening is false, refuses them.
func withUnresponsiveHost(t *testing.T, config *rest.Config, listening bool) *rest.Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if listening {
		t.Cleanup(func() { _ = listener.Close() })
	} else if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	config = rest.CopyConfig(config)
	config.Host = (&url.URL{Scheme: "https", Host: listener.Addr().String()}).String()
	return config
}

// A replica counts the tokens with a label that another one has made just before.
func TestReplicasShareTheLimitOfLabels(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	maker, late := b.replica(t, u), b.replica(t, u)
	var last directory.Record
	for i := range grant.MaximumLabelled {
		last = mustCreate(t, maker, newRecord(u, fmt.Sprint("label ", i)))
		if i <= trustedCount {
			late.Directory.PutRecord(last)
		}
	}
	if _, err := late.Create(t.Context(), newRecord(u, "one more"), isLive); !errors.Is(err, grant.ErrTooManyLabels) {
		t.Errorf("one more label: %v, want ErrTooManyLabels", err)
	}
	if kept := mustCreate(t, late, newRecord(u, last.Label)); kept != last {
		t.Errorf("the label of another replica gets %+v, want %+v", kept, last)
	}
	mustRevoke(t, maker, last)
	late.Directory.PutRecord(directory.Record{
		ID: last.ID, UserKey: last.UserKey, UserUID: last.UserUID, Kind: last.Kind, Label: last.Label, IssuedAt: last.IssuedAt, ExpiresAt: last.ExpiresAt, Revoked: true,
	})
	mustCreate(t, late, newRecord(u, "one more"))
}
