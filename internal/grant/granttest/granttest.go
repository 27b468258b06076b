// Package granttest states what every implementation of grant.Records must do, as one test suite
// that each of them runs.
package granttest

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Replica is one process of a service: records, and the directory that they are put into.
type Replica struct {
	Records   grant.Records
	Directory *directory.Directory
}

// Fixture is a service with two users and no token records. Every case of the suite gets its own.
type Fixture struct {
	Replica
	// Users exist in the directory and, where there is one, in the source of truth behind it.
	Users [2]*directory.User
	// Now is the clock of the service.
	Now func() time.Time
	// NewReplica starts another process beside Replica that knows the users, but has not yet
	// learned of any record. Nil means that the service never runs more than one process.
	NewReplica func() Replica
	// TokensRevokedAt returns up to when the tokens of a user are void, as a process that starts
	// now reads it.
	TokensRevokedAt func(*directory.User) time.Time
	// Stored returns the records of the user with this UID, as a process that starts now reads them.
	Stored func(uid string) []directory.Record
	// SetFailing makes every write fail, or lets writes succeed again.
	SetFailing func(failing bool)
}

// concurrentCallers is how many callers ask at the same time.
const concurrentCallers = 20

// TestRecords runs the suite. The cases run in parallel, so fixtures must share nothing that one of
// them can change.
func TestRecords(t *testing.T, newFixture func(testing.TB) Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"keeps a new label as it was given":                testNewLabel,
		"gives the record of a label again while it lives": testSameLabel,
		"keeps the labels of users and spellings apart":    testLabelsApart,
		"gives one record to concurrent callers":           testConcurrentLabel,
		"replaces a revoked record":                        testReplaceRevoked,
		"replaces an ended record":                         testReplaceEnded,
		"agrees on one successor":                          testConcurrentReplacement,
		"asks the caller whether a record is still good":   testKeepDecides,
		"keeps each token without a label":                 testUnlabelled,
		"bounds the records of one user":                   testLimit,
		"revokes the tokens of a user without room":        testRevokeWithoutRoom,
		"keeps no text of a revoked token":                 testRevokedText,
		"revokes to the end of the token":                  testRevokeToTheEnd,
		"revokes a token of a user it does not know":       testRevokeUnknownUser,
		"revokes for good":                                 testRevoke,
		"revokes a token that has no record":               testRevokeUnlabelled,
		"revokes a token whose label the caller lacks":     testRevokeWithoutLabel,
		"revokes one token and not its successor":          testRevokePredecessor,
		"revokes once for concurrent callers":              testConcurrentRevocation,
		"revokes the tokens of one user":                   testRevokeUser,
		"never moves the revocation of a user back":        testRevokeUserBack,
		"revokes the tokens of the newest version":         testRevokeStaleUser,
		"has no tokens to revoke of a user who is gone":    testRevokeGoneUser,
		"promises nothing that it cannot keep":             testUnavailable,
		"works again after a failure":                      testRecovery,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t))
		})
	}
}

func testNewLabel(t *testing.T, f Fixture) {
	r := f.record(f.Users[0], "ß \"quoted\" 日本")
	r.Description, r.Client = "a line\u2028and another", "kubectl"
	if got := f.create(t, r); got != r {
		t.Errorf("created %+v, want %+v", got, r)
	}
	if got, _ := f.Directory.Record(r.UserUID, r.ID); got != r {
		t.Errorf("the directory holds %+v, want %+v", got, r)
	}
	for _, replica := range f.replicas() {
		if got, ok := replica.labelled(t, f.Users[0], r.Label); !ok || got != r {
			t.Errorf("Labelled returns %+v, %t, want %+v", got, ok, r)
		}
	}
}

func testSameLabel(t *testing.T, f Fixture) {
	first := f.create(t, f.record(f.Users[0], "ci"))
	for _, replica := range f.replicas() {
		second := f.record(f.Users[0], "ci")
		second.Description = "another"
		if got := f.createAt(t, replica, second); got != first {
			t.Errorf("created %+v, want the first record %+v", got, first)
		}
		if _, ok := replica.Directory.Record(second.UserUID, second.ID); ok {
			t.Error("the directory holds a record that was not created")
		}
		if got, _ := replica.Directory.Record(first.UserUID, first.ID); got != first {
			t.Errorf("the directory holds %+v, want %+v", got, first)
		}
	}
	f.wantLive(t, f.Users[0], 1)
}

func testLabelsApart(t *testing.T, f Fixture) {
	u, other := f.Users[0], f.Users[1]
	seen := map[string]bool{}
	for _, r := range []directory.Record{f.record(u, "ci"), f.record(u, "CI"), f.record(u, "ci "), f.record(other, "ci")} {
		seen[f.create(t, r).ID] = true
	}
	if len(seen) != 4 {
		t.Errorf("four labels have %d records", len(seen))
	}
	for _, replica := range f.replicas() {
		if r, ok := replica.labelled(t, other, "CI"); ok {
			t.Errorf("Labelled returns %+v for a label that only another user has", r)
		}
	}
}

func testConcurrentLabel(t *testing.T, f Fixture) {
	for round := range 5 {
		kept := f.createConcurrently(t, f.Users[0], strconv.Itoa(round))
		for _, replica := range f.replicas() {
			if got, ok := replica.labelled(t, f.Users[0], kept.Label); !ok || got != kept {
				t.Errorf("Labelled returns %+v, %t, want %+v", got, ok, kept)
			}
		}
	}
	f.wantLive(t, f.Users[0], 5)
}

func testReplaceRevoked(t *testing.T, f Fixture) {
	u := f.Users[0]
	for range 4 { // ids are random, and no order of them may matter
		first := f.create(t, f.record(u, "ci"))
		f.revoke(t, f.Replica, first)
		second := f.create(t, f.record(u, "ci"))
		if second.ID == first.ID || second.Revoked {
			t.Fatalf("created %+v after the revocation of %s", second, first.ID)
		}
		f.wantRevoked(t, f.Replica, first)
		for _, replica := range f.replicas() {
			if !replica.finds(t, u, second) {
				t.Errorf("neither Labelled nor the directory returns the successor %s", second.ID)
			}
		}
		f.wantLive(t, u, 1)
		f.revoke(t, f.Replica, second)
	}
}

func testReplaceEnded(t *testing.T, f Fixture) {
	ended := f.record(f.Users[0], "ci")
	ended.IssuedAt, ended.ExpiresAt = ended.IssuedAt.Add(-2*time.Hour), ended.ExpiresAt.Add(-2*time.Hour)
	f.create(t, ended)
	second := f.record(f.Users[0], "ci")
	if got := f.create(t, second); got != second {
		t.Errorf("created %+v, want %+v", got, second)
	}
	f.wantLive(t, f.Users[0], 1)
}

func testConcurrentReplacement(t *testing.T, f Fixture) {
	for range 3 {
		old := f.create(t, f.record(f.Users[0], "ci"))
		f.revoke(t, f.Replica, old)
		next := f.createConcurrently(t, f.Users[0], "ci")
		if next.ID == old.ID || next.Revoked {
			t.Fatalf("created %+v after the revocation of %s", next, old.ID)
		}
		f.revoke(t, f.Replica, next)
	}
}

func testKeepDecides(t *testing.T, f Fixture) {
	first := f.create(t, f.record(f.Users[0], "ci"))
	second := f.record(f.Users[0], "ci")
	asked := false
	got, err := f.Records.Create(t.Context(), second, func(r directory.Record) bool {
		asked = asked || r == first
		return false
	})
	if err != nil || got != second {
		t.Errorf("created %+v, %v, want %+v", got, err, second)
	}
	if !asked {
		t.Error("the caller was not asked about the first record")
	}
}

func testUnlabelled(t *testing.T, f Fixture) {
	u := f.Users[0]
	for range 2 {
		r := f.record(u, "")
		r.Description, r.Client = "kept", "kubectl"
		got, err := f.Records.Create(t.Context(), r, func(directory.Record) bool {
			t.Error("the caller is asked whether another token may take the place of one without a label")
			return true
		})
		if err != nil || got != r {
			t.Errorf("created %+v, %v, want %+v", got, err, r)
		}
		if known, _ := f.Directory.Record(r.UserUID, r.ID); known != r {
			t.Errorf("the directory holds %+v, want %+v", known, r)
		}
		f.revoke(t, f.Replica, r)
	}
	if n := len(f.Stored(u.UID)); n != 2 {
		t.Errorf("%d records are stored, want 2", n)
	}
}

// fill makes all records that a user may have but for some: a third of them with a label, a third
// without one, and a third revoked.
func (f Fixture) fill(t *testing.T, u *directory.User, but int) {
	t.Helper()
	indices := make(chan int)
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for i := range indices {
				switch i % 3 {
				case 0:
					f.create(t, f.record(u, "label "+strconv.Itoa(i)))
				case 1:
					f.create(t, f.record(u, ""))
				default:
					f.revoke(t, f.Replica, f.record(u, ""))
				}
			}
		})
	}
	for i := range grant.MaximumRecords - but {
		indices <- i
	}
	close(indices)
	callers.Wait()
	if n := len(f.Stored(u.UID)); n != grant.MaximumRecords-but {
		t.Fatalf("%d records are stored, want %d", n, grant.MaximumRecords-but)
	}
}

func testLimit(t *testing.T, f Fixture) {
	const (
		room     = 5
		attempts = 12 // few enough that each gets its turn in time, also under the race detector
	)
	u, replicas := f.Users[0], f.replicas()
	f.fill(t, u, room)
	for _, replica := range replicas { // which have learned of these records, but learn of no other
		for _, r := range f.Stored(u.UID) {
			replica.Directory.PutRecord(r)
		}
	}
	var created atomic.Int32
	var callers sync.WaitGroup
	for i := range attempts {
		callers.Go(func() {
			r := f.record(u, "")
			if i%2 == 1 {
				r.Label = "one more " + strconv.Itoa(i)
			}
			_, err := replicas[i%len(replicas)].Records.Create(t.Context(), r, f.live)
			switch {
			case err == nil:
				created.Add(1)
			case !errors.Is(err, grant.ErrTooManyRecords) || errors.Is(err, grant.ErrUnavailable):
				t.Errorf("got error %v, want %v", err, grant.ErrTooManyRecords)
			}
		})
	}
	callers.Wait()
	n := int(created.Load())
	if n > room || (len(replicas) == 1 && n != room) {
		t.Errorf("%d records were created where there is room for %d", n, room)
	}
	if stored := len(f.Stored(u.UID)); stored != grant.MaximumRecords-room+n {
		t.Errorf("%d records are stored, want %d", stored, grant.MaximumRecords-room+n)
	}
	for _, replica := range replicas {
		if got := f.createAt(t, replica, f.record(u, "label 0")); got.Label != "label 0" {
			t.Errorf("a live label of a user without room gives %+v", got)
		}
	}
	f.create(t, f.record(f.Users[1], ""))
}

func testRevokeWithoutRoom(t *testing.T, f Fixture) {
	u := f.Users[0]
	f.fill(t, u, 0)
	f.revoke(t, f.Replica, f.Stored(u.UID)[0]) // has a record
	if err := f.checkToken(t, u, f.Now()); err != nil {
		t.Errorf("a revocation that needs no room ends all tokens: %v", err)
	}
	for _, ahead := range []time.Duration{0, 5 * time.Second} { // the clock of another replica may be ahead
		r := f.record(u, "")
		r.IssuedAt = r.IssuedAt.Add(ahead)
		if err := f.Records.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := f.checkToken(t, u, r.IssuedAt); !errors.Is(err, directory.ErrTokenVoid) {
			t.Errorf("a revoked token for which there is no room: %v", err)
		}
		if stored := f.TokensRevokedAt(u); stored.Unix() < r.IssuedAt.Unix() {
			t.Errorf("a process that starts now takes tokens for void up to %v, want %v", stored, r.IssuedAt)
		}
		if err := f.checkToken(t, u, r.IssuedAt.Add(2*time.Second)); err != nil {
			t.Errorf("a token issued after that: %v", err)
		}
	}
	if n := len(f.Stored(u.UID)); n != grant.MaximumRecords {
		t.Errorf("%d records are stored, want %d", n, grant.MaximumRecords)
	}
	if err := f.checkToken(t, f.Users[1], f.Now()); err != nil {
		t.Errorf("a token of the other user: %v", err)
	}
}

func testRevokedText(t *testing.T, f Fixture) {
	labelled, unlabelled := f.record(f.Users[0], "ci"), f.record(f.Users[0], "")
	for _, r := range []*directory.Record{&labelled, &unlabelled} {
		r.Description, r.Client = "a text", "another"
		f.create(t, *r)
		f.revoke(t, f.Replica, *r)
		if got, _ := f.Directory.Record(r.UserUID, r.ID); got != r.AsRevoked() {
			t.Errorf("the directory holds %+v, want %+v", got, r.AsRevoked())
		}
	}
	for _, stored := range f.Stored(f.Users[0].UID) {
		if stored.Label != "" || stored.Description != "" || stored.Client != "" || !stored.Revoked {
			t.Errorf("stored is %+v, want no text", stored)
		}
	}
}

func testRevokeToTheEnd(t *testing.T, f Fixture) {
	for _, label := range []string{"ci", ""} {
		short := f.create(t, f.record(f.Users[0], label)) // a record that someone has cut short
		r := short
		r.ExpiresAt = r.ExpiresAt.Add(time.Hour)
		f.revoke(t, f.Replica, r)
		kept := slices.ContainsFunc(f.Stored(r.UserUID), func(stored directory.Record) bool {
			return stored.ID == r.ID && stored.Revoked && !stored.ExpiresAt.Before(r.ExpiresAt)
		})
		if got, _ := f.Directory.Record(r.UserUID, r.ID); !kept || got.RevokedUntil.Before(r.ExpiresAt) {
			t.Errorf("the revocation ends before the token: stored are %+v", f.Stored(r.UserUID))
		}
	}
}

func testRevokeUnknownUser(t *testing.T, f Fixture) {
	r := f.record(&directory.User{UID: "00000000-0000-4000-8000-000000000000"}, "")
	for range 2 {
		f.revoke(t, f.Replica, r)
	}
	stored := f.Stored(r.UserUID)
	if len(stored) != 1 || stored[0].ID != r.ID || !stored[0].Revoked || !stored[0].ExpiresAt.Equal(r.ExpiresAt) {
		t.Errorf("stored are %+v, want one revoked record of %s", stored, r.ID)
	}
}

func testRevoke(t *testing.T, f Fixture) {
	r := f.create(t, f.record(f.Users[0], "ci"))
	other := f.create(t, f.record(f.Users[0], "another"))
	for range 2 {
		for _, replica := range f.replicas() {
			f.revoke(t, replica, r) // r itself does not say that it is revoked
			if got, ok := replica.labelled(t, f.Users[0], "ci"); ok {
				t.Errorf("Labelled returns %+v of a revoked token", got)
			}
		}
	}
	if got, ok := f.labelled(t, f.Users[0], "another"); !ok || got != other {
		t.Errorf("the other label has %+v, want %+v", got, other)
	}
	_, err := f.Records.Create(t.Context(), f.record(f.Users[0], "ci"), func(known directory.Record) bool {
		if known.ID == r.ID && !known.Revoked {
			t.Error("the caller is asked about a revoked record that does not say so")
		}
		return false
	})
	if err != nil {
		t.Error(err)
	}
	f.wantRevoked(t, f.Replica, r)
}

func testRevokeUnlabelled(t *testing.T, f Fixture) {
	r := f.record(f.Users[0], "")
	f.revoke(t, f.Replica, r)
	if got, _ := f.Directory.Record(r.UserUID, r.ID); got != r.AsRevoked() {
		t.Errorf("the directory holds %+v, want %+v", got, r.AsRevoked())
	}
	if got, ok := f.labelled(t, f.Users[0], ""); ok && got.Label != "" {
		t.Errorf("the empty label has %+v", got)
	}
}

func testRevokeWithoutLabel(t *testing.T, f Fixture) {
	first := f.create(t, f.record(f.Users[0], "ci"))
	unlabelled := first
	unlabelled.Label = ""
	replicas := f.replicas()
	f.revoke(t, replicas[len(replicas)-1], unlabelled)
	for _, replica := range replicas {
		if got := f.createAt(t, replica, f.record(f.Users[0], "ci")); got.ID == first.ID {
			t.Error("the revoked record was given again")
		}
	}
}

func testRevokePredecessor(t *testing.T, f Fixture) {
	successor := f.create(t, f.record(f.Users[0], "ci"))
	f.revoke(t, f.Replica, f.record(f.Users[0], "ci")) // of a token that had the label before
	if got := f.create(t, f.record(f.Users[0], "ci")); got != successor {
		t.Errorf("the label has %+v, want %+v", got, successor)
	}
}

func testConcurrentRevocation(t *testing.T, f Fixture) {
	replicas := f.replicas()
	for _, r := range []directory.Record{f.create(t, f.record(f.Users[0], "ci")), f.record(f.Users[0], "")} {
		var callers sync.WaitGroup
		for i := range concurrentCallers {
			callers.Go(func() { f.revoke(t, replicas[i%len(replicas)], r) })
		}
		callers.Wait()
	}
}

func testRevokeUser(t *testing.T, f Fixture) {
	u, at := f.Users[0], f.Now()
	if err := f.Records.RevokeUser(t.Context(), u, at); err != nil {
		t.Fatal(err)
	}
	for issuedAt, want := range map[time.Time]error{
		at.Add(-time.Hour):       directory.ErrTokenVoid,
		at:                       directory.ErrTokenVoid,
		at.Truncate(time.Second): directory.ErrTokenVoid,
		at.Truncate(time.Second).Add(1 * time.Second): nil,
	} {
		if got := f.checkToken(t, u, issuedAt); !errors.Is(got, want) {
			t.Errorf("a token issued at %v: %v, want %v", issuedAt, got, want)
		}
	}
	if err := f.checkToken(t, f.Users[1], at); err != nil {
		t.Errorf("a token of the other user: %v", err)
	}
}

func testRevokeUserBack(t *testing.T, f Fixture) {
	u, latest := f.Users[0], f.Now().Add(-time.Minute)
	var callers sync.WaitGroup
	for i := range concurrentCallers {
		callers.Go(func() {
			if err := f.Records.RevokeUser(t.Context(), u, latest.Add(-time.Duration(i)*time.Minute)); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	for range 2 { // the second time after one more revocation up to an earlier time
		if err := f.checkToken(t, u, latest); !errors.Is(err, directory.ErrTokenVoid) {
			t.Errorf("a token issued at the latest revocation: %v", err)
		}
		if err := f.checkToken(t, u, latest.Add(2*time.Second)); err != nil {
			t.Errorf("a token issued after the latest revocation: %v", err)
		}
		if stored := f.TokensRevokedAt(u); stored.Unix() != latest.Unix() {
			t.Errorf("a process that starts now takes tokens for void up to %v, want %v", stored, latest)
		}
		if err := f.Records.RevokeUser(t.Context(), u, latest.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}

func testRevokeStaleUser(t *testing.T, f Fixture) {
	stale, ok := f.Directory.ByUID(f.Users[0].UID)
	if !ok {
		t.Fatal("the directory does not hold the user")
	}
	next := *stale
	next.DisplayName = "changed meanwhile"
	f.Directory.Put(&next)
	at := f.Now()
	if err := f.Records.RevokeUser(t.Context(), stale, at); err != nil {
		t.Fatal(err)
	}
	if u, _ := f.Directory.ByUID(stale.UID); u.DisplayName != next.DisplayName {
		t.Errorf("the directory holds an earlier version again: display name %q", u.DisplayName)
	}
	if err := f.checkToken(t, stale, at); !errors.Is(err, directory.ErrTokenVoid) {
		t.Errorf("a token issued before the revocation: %v", err)
	}
}

func testRevokeGoneUser(t *testing.T, f Fixture) {
	gone := *f.Users[0]
	gone.UID = "00000000-0000-4000-8000-000000000000" // an earlier object of the same name
	at := f.Now()
	if err := f.Records.RevokeUser(t.Context(), &gone, at); err != nil {
		t.Error(err)
	}
	if _, ok := f.Directory.ByUID(gone.UID); ok {
		t.Error("the directory holds a user who is gone")
	}
	if err := f.checkToken(t, f.Users[0], at); err != nil {
		t.Errorf("a token of the user who has the name now: %v", err)
	}
}

func testUnavailable(t *testing.T, f Fixture) {
	u, at := f.Users[0], f.Now()
	kept, created, unlabelled := f.create(t, f.record(u, "ci")), f.record(u, "new"), f.record(u, "")
	f.SetFailing(true)
	_, createErr := f.Records.Create(t.Context(), created, f.live)
	for name, err := range map[string]error{
		"Create":                    createErr,
		"Revoke of a label":         f.Records.Revoke(t.Context(), kept),
		"Revoke of any other token": f.Records.Revoke(t.Context(), unlabelled),
		"RevokeUser":                f.Records.RevokeUser(t.Context(), u, at),
	} {
		if !errors.Is(err, grant.ErrUnavailable) {
			t.Errorf("%s: got error %v, want one that wraps %v", name, err, grant.ErrUnavailable)
		}
	}
	_, _, labelledErr := f.Records.Labelled(t.Context(), u, "ci")
	if labelledErr != nil && !errors.Is(labelledErr, grant.ErrUnavailable) { // a read may succeed where no write does
		t.Errorf("Labelled: got error %v, want one that wraps %v", labelledErr, grant.ErrUnavailable)
	}
	if got := f.Directory.RecordsOf(u.UID); len(got) != 1 || got[0] != kept {
		t.Errorf("the directory holds %+v, want %+v only", got, kept)
	}
	if err := f.checkToken(t, u, at); err != nil {
		t.Errorf("a token of the user: %v", err)
	}
}

func testRecovery(t *testing.T, f Fixture) {
	u := f.Users[0]
	r := f.record(u, "ci")
	f.SetFailing(true)
	if _, err := f.Records.Create(t.Context(), r, f.live); err == nil {
		t.Error("Create succeeded while writes fail")
	}
	f.SetFailing(false)
	kept := f.create(t, f.record(u, "ci"))
	if got, ok := f.labelled(t, u, "ci"); !ok || got != kept {
		t.Errorf("Labelled returns %+v, %t, want %+v", got, ok, kept)
	}
	f.revoke(t, f.Replica, kept)
	if err := f.Records.RevokeUser(t.Context(), u, f.Now()); err != nil {
		t.Error(err)
	}
}

// record is that of a new token of a user, as the service makes it.
func (f Fixture) record(u *directory.User, label string) directory.Record {
	now := f.Now().Round(0).UTC().Truncate(time.Millisecond)
	return directory.Record{
		ID: token.NewID(), UserKey: u.Key, UserUID: u.UID, Kind: token.KindOpaque, Label: label,
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

// live reports whether a record's token is good by the clock of the service.
func (f Fixture) live(r directory.Record) bool { return r.Live(f.Now()) }

// replicas returns the fixture's own replica and, where a service may have several, a new one.
func (f Fixture) replicas() []Replica {
	if f.NewReplica == nil {
		return []Replica{f.Replica}
	}
	return []Replica{f.Replica, f.NewReplica()}
}

// create keeps the record of a label, or returns the live one that there is.
func (f Fixture) create(t *testing.T, r directory.Record) directory.Record {
	t.Helper()
	return f.createAt(t, f.Replica, r)
}

func (f Fixture) createAt(t *testing.T, replica Replica, r directory.Record) directory.Record {
	t.Helper()
	kept, err := replica.Records.Create(t.Context(), r, f.live)
	if err != nil {
		t.Error(err)
	}
	return kept
}

// createConcurrently has many callers on all replicas ask for one label, and returns the record
// that they all get.
func (f Fixture) createConcurrently(t *testing.T, u *directory.User, label string) directory.Record {
	t.Helper()
	replicas := f.replicas()
	var kept [concurrentCallers]directory.Record
	var callers sync.WaitGroup
	for i := range kept {
		callers.Go(func() { kept[i] = f.createAt(t, replicas[i%len(replicas)], f.record(u, label)) })
	}
	callers.Wait()
	for _, r := range kept {
		if r != kept[0] {
			t.Fatalf("one label has two records, %s and %s", kept[0].ID, r.ID)
		}
	}
	for _, replica := range replicas {
		if got, _ := replica.Directory.Record(u.UID, kept[0].ID); got != kept[0] {
			t.Errorf("a directory holds %+v, want %+v", got, kept[0])
		}
	}
	return kept[0]
}

// revoke revokes a token and checks that the directory of the replica shows it at once.
func (f Fixture) revoke(t *testing.T, replica Replica, r directory.Record) {
	t.Helper()
	if err := replica.Records.Revoke(t.Context(), r); err != nil {
		t.Error(err)
	}
	f.wantRevoked(t, replica, r)
}

func (f Fixture) wantRevoked(t *testing.T, replica Replica, r directory.Record) {
	t.Helper()
	if got, ok := replica.Directory.Record(r.UserUID, r.ID); !ok || !got.Revoked {
		t.Errorf("the directory holds %+v of token %s, want a revoked record", got, r.ID)
	}
}

// wantLive checks how many live labels of a user are stored.
func (f Fixture) wantLive(t *testing.T, u *directory.User, want int) {
	t.Helper()
	n := 0
	for _, r := range f.Stored(u.UID) {
		if r.Label != "" && f.live(r) {
			n++
		}
	}
	if n != want {
		t.Errorf("%d live labels are stored, want %d", n, want)
	}
}

// checkToken is the directory's verdict on a token of a user by its time of issue.
func (f Fixture) checkToken(t *testing.T, u *directory.User, issuedAt time.Time) error {
	t.Helper()
	known, ok := f.Directory.ByUID(u.UID)
	if !ok {
		t.Fatalf("the directory does not hold user %s", u.UID)
	}
	return known.CheckToken(issuedAt)
}

func (r Replica) labelled(t *testing.T, u *directory.User, label string) (directory.Record, bool) {
	t.Helper()
	kept, ok, err := r.Records.Labelled(t.Context(), u, label)
	if err != nil {
		t.Error(err)
	}
	return kept, ok
}

// finds reports whether a caller who revokes a label finds this record: in the directory, or by
// asking for the label.
func (r Replica) finds(t *testing.T, u *directory.User, want directory.Record) bool {
	t.Helper()
	if got, ok := r.Directory.Record(u.UID, want.ID); ok && got == want {
		return true
	}
	got, ok := r.labelled(t, u, want.Label)
	return ok && got == want
}
