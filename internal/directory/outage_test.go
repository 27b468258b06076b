package directory_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// Whoever comes first and however old they are: a user who is permitted has precedence, then the
// lower rank.
func TestRankDecidesBeforeAge(t *testing.T) {
	t.Parallel()
	first, second, outlaw := user("first", "x", 1), user("second", "x", 3), user("outlaw", "x", 9)
	first.Rank, second.Rank, outlaw.Rank = 1, 2, 0
	outlaw.NotPermitted = true
	users := []*directory.User{first, second, outlaw}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		d := directory.New()
		for _, i := range order {
			copied := *users[i]
			copied.Identities = []directory.Identity{{Issuer: "https://ci.test", Subject: "s"}}
			d.Put(&copied)
		}
		for _, want := range []string{"first", "second", "outlaw"} {
			if got := holder(t, d, "x"); got != "gatehouse-users/"+want {
				t.Errorf("order %v: %s holds the login, want %s", order, got, want)
			}
			if u, ok := d.ByIdentity("https://ci.test", "s", nil); !ok || u.Key != "gatehouse-users/"+want {
				t.Errorf("order %v: not %s holds the identity", order, want)
			}
			d.Delete("gatehouse-users/" + want)
		}
	}
}

func TestChangedRankMovesLogin(t *testing.T) {
	t.Parallel()
	d := directory.New()
	for name, rank := range map[string]int{"a": 1, "b": 2} {
		u := user(name, "x", 1)
		u.Rank = rank
		d.Put(u)
	}
	changed := user("a", "x", 1)
	changed.Rank = 3
	d.Put(changed)
	if got := holder(t, d, "x"); got != "gatehouse-users/b" {
		t.Errorf("%s holds the login", got)
	}
}

// A user who is not permitted gets the tokens of before back, unlike one who was revoked.
func TestNotPermittedVoidsTokensForAWhile(t *testing.T) {
	t.Parallel()
	d := directory.New()
	put := func(notPermitted bool) *directory.User {
		u := user("a", "x", 1)
		u.NotPermitted, u.AsOf = notPermitted, start.Add(time.Hour)
		d.Put(u)
		got, _ := d.ByUID(u.UID)
		return got
	}
	put(false)
	if u := put(true); u.Check(start) == nil || u.State(start, true) != directory.StateInvalid {
		t.Errorf("a user who is not permitted may log in, in state %s", u.State(start, true))
	}
	if u := put(false); u.Check(start) != nil || u.CheckToken(start) != nil {
		t.Error("the user or the tokens of before are not good again")
	}
}

func TestOutageConcernsItsNamespacesAlone(t *testing.T) {
	t.Parallel()
	d := directory.New()
	in, out := user("in", "in", 1), user("out", "out", 1)
	in.Key = "team/in"
	if d.Cut(in) || d.MayBeCut("x") || d.Incomplete() {
		t.Error("something is cut without an outage")
	}
	d.SetOutage(&directory.Outage{Namespaces: map[string]bool{"team": true}, MayHave: func(login string) bool { return login == "x" }})
	if !d.Cut(in) || d.Cut(out) || !d.MayBeCut("x") || d.MayBeCut("y") || !d.Incomplete() {
		t.Error("the outage is not what was set")
	}
	d.SetOutage(nil)
	if d.Cut(in) || d.Incomplete() {
		t.Error("the outage does not end")
	}
}

func TestRecordOfAnotherNamespaceCountsForNoOne(t *testing.T) {
	t.Parallel()
	d := directory.New()
	u := user("a", "x", 1)
	d.Put(u)
	own := directory.Record{ID: "id", UserUID: u.UID, UserKey: u.Key, ExpiresAt: start.Add(time.Hour)}
	foreign := own
	foreign.UserKey, foreign.Revoked = "team/a", true
	d.PutRecord(foreign)
	d.PutRecord(own)
	check := func(records int) {
		t.Helper()
		if r, ok := d.Record(u.UID, "id"); ok && r.Revoked || ok != (records > 0) {
			t.Errorf("the record is %+v, %t", r, ok)
		}
		if n := d.CountRecords(u.UID); n != records || len(d.RecordsOf(u.UID)) != records || len(d.RecordsByID("id")) != records {
			t.Errorf("%d records, want %d", n, records)
		}
	}
	check(1)
	d.DeleteRecord("gatehouse-users", u.UID, "id")
	check(0)
	d.PutRecord(own)
	d.DeleteRecord("team", u.UID, "id")
	check(1)
	anywhere := own
	anywhere.UserKey, anywhere.Revoked = "", true
	d.PutRecord(anywhere)
	if r, ok := d.Record(u.UID, "id"); !ok || !r.Revoked || d.CountRecords(u.UID) != 1 {
		t.Errorf("a record that counts everywhere does not: %+v", r)
	}
}
