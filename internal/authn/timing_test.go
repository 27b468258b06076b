package authn_test

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// samplesPerCase and tellable decide whether two kinds of refusal can be told apart by time. With n
// samples of each, drawn in random order, the share of pairs in which the one took longer lies
// within 0.5 +/- 1/sqrt(6n) two times in three when there is no difference, so 0.08 is five of
// these steps; a refusal that skips its hash gives a share of 0 or 1.
const (
	samplesPerCase = 600
	tellable       = 0.08
)

// raceDetector reports whether the race detector is on.
var raceDetector bool

// skipUnlessTimed skips a test that tells refusals apart by time where that says nothing of the
// service: the race detector slows its code several times over. make test-timing runs these tests.
func skipUnlessTimed(t *testing.T) {
	t.Helper()
	if testing.Short() || raceDetector {
		t.Skip("takes thousands of samples, without the race detector: make test-timing")
	}
}

// cheap are hashes of every format that take about a millisecond: little enough for thousands of
// samples, and so much that the microseconds of all other code do not show. They do not show in the
// hashes that people use either, which take 50 times as long. The hashes are of no password.
func cheap(t *testing.T) map[string]directory.Password {
	const rest = "$c2FsdHNhbHRzYWx0c2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAphArZDZ2YHeoBE"
	const crypt43, crypt86 = "VwI9b7a.7btrGQHNgezrXwZrtur3E.MgJHgiBUFxfJ8",
		"n5PVdvJLgHHo.QsQ2tzoKbW4cPzRSHVUuGGwbZ4zrWBb0sYH.PJSNGNGOJIkQw8PjKRfkpXgXKgG9a2PsOqRk/"
	hashes := map[string]directory.Password{"bcrypt": bcrypt4(t, right)}
	for format, encoded := range map[string]string{
		"argon2id":      "$argon2id$v=19$m=1024,t=1,p=1" + rest,
		"argon2i":       "$argon2i$v=19$m=1024,t=1,p=1" + rest,
		"scrypt":        "$scrypt$ln=8,r=8,p=1" + rest,
		"pbkdf2-sha256": "$pbkdf2-sha256$4000" + rest,
		"pbkdf2-sha512": "$pbkdf2-sha512$2000" + rest,
		"sha256-crypt":  "$5$rounds=8000$saltsaltsaltsalt$" + crypt43,
		"sha512-crypt":  "$6$rounds=4000$saltsaltsaltsalt$" + crypt86,
		"yescrypt":      "$y$j7.$saltsaltsaltsalt$" + crypt43,
	} {
		hashes[format] = directory.Password{Hash: parse(t, encoded)}
	}
	return hashes
}

// Of five reasons to refuse, none can be told from another by the time it takes, whatever the
// format of the hashes.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	skipUnlessTimed(t)
	for format, p := range cheap(t) {
		t.Run(format, func(t *testing.T) {
			h := newFixture(func(c *authn.PasswordConfig) { c.LockAfter = 0 })
			h.put(t, "wrong", p)
			h.change(h.put(t, "revoked", p), func(u *directory.User) { u.Revoked = true })
			h.change(h.put(t, "expired", p), func(u *directory.User) { u.ExpiresAt = start })
			h.change(h.put(t, "locked", p), func(u *directory.User) { u.LockedUntil = start.Add(time.Hour) })
			testSameTime(t, h, guesses(format))
		})
	}
}

// The refusals of users with different kinds of passwords, or none, cannot be told from those of
// unknown logins: each pays for all kinds.
func TestRefusalsOfMixedUsersTakeTheSameTime(t *testing.T) {
	skipUnlessTimed(t)
	h := newFixture(func(c *authn.PasswordConfig) { c.LockAfter = 0 })
	hashes := cheap(t)
	plain := directory.Password{Hash: password.NewKeyer().NewPlaintext([]byte("machine"))}
	for login, passwords := range map[string][]directory.Password{
		"bcrypt": {hashes["bcrypt"]}, "argon2id": {hashes["argon2id"]}, "scrypt": {hashes["scrypt"]}, "plaintext": {plain},
		"none": nil, "both": {plain, hashes["argon2id"]}, "two": {hashes["bcrypt"], hashes["scrypt"]},
	} {
		h.put(t, login, passwords...)
	}
	guess := map[string]func() string{"unknown": crand.Text}
	for _, login := range []string{"bcrypt", "argon2id", "scrypt", "plaintext", "none", "both", "two"} {
		guess[login] = crand.Text
	}
	testSameTime(t, h, guess)
}

// While a namespace cannot be read, the logins that users have there, that users have elsewhere and that
// no one has cannot be told apart.
func TestRefusalsDuringAnOutageTakeTheSameTime(t *testing.T) {
	skipUnlessTimed(t)
	for format, p := range map[string]directory.Password{"bcrypt": cheap(t)["bcrypt"], "argon2id": cheap(t)["argon2id"]} {
		t.Run(format, func(t *testing.T) {
			h := newFixture(func(c *authn.PasswordConfig) { c.LockAfter = 0 })
			h.put(t, "elsewhere", p)
			h.change(h.put(t, "there", p), func(u *directory.User) { u.Key = "team/there" })
			h.directory.SetOutage(&directory.Outage{
				Namespaces: map[string]bool{"team": true}, MayHave: func(string) bool { return true },
			})
			for _, login := range []string{"elsewhere", "there", "unknown"} {
				if err := h.login(login, "wrong"); !errors.Is(err, authn.ErrCut) {
					t.Errorf("%s: %v", login, err)
				}
			}
			testSameTime(t, h, map[string]func() string{"unknown": crand.Text, "elsewhere": crand.Text, "there": crand.Text})
		})
	}
}

// testSameTime compares the refusals of all names in guess with those of unknown logins. What shows in
// one round of samples only was the machine: a refusal that takes another time does so in each.
func testSameTime(t *testing.T, h *fixture, guess map[string]func() string) {
	t.Helper()
	first := toldApart(t, sample(h, guess))
	if len(first) == 0 {
		return
	}
	again := toldApart(t, sample(h, guess))
	for name, share := range again {
		if before, ok := first[name]; ok && before > 0.5 == (share > 0.5) {
			t.Errorf("%s and unknown can be told apart: %.1f and %.1f %% of pairs", name, 100*before, 100*share)
		}
	}
}

// toldApart returns the names whose refusals can be told from those of unknown logins, and the share
// of pairs in which they took longer.
func toldApart(t *testing.T, times map[string][]time.Duration) map[string]float64 {
	t.Helper()
	shares := map[string]float64{}
	for name := range times {
		share := shareLonger(times[name], times["unknown"])
		t.Logf("%s takes longer than unknown in %.1f %% of pairs", name, 100*share)
		if share < 0.5-tellable || share > 0.5+tellable {
			shares[name] = share
		}
	}
	return shares
}

// guesses gives the password of each attempt: the right one and another of its length, where there
// is a right one. All other hashes are of no password, and are given another one each time:
// sha-crypt hashes its salt 16 times and up to 255 times more, as password and salt have it (step
// 19 of its specification), so one password alone tells two salts from one another. No one can tell
// from that which salt a user has.
func guesses(format string) map[string]func() string {
	same := func(password string) func() string { return func() string { return password } }
	other := func() string { return crand.Text()[:len(right)] }
	if format == "bcrypt" {
		return map[string]func() string{
			"unknown": same(right), "wrong": same(strings.ToUpper(right)), "revoked": same(right), "expired": same(right), "locked": same(right),
		}
	}
	return map[string]func() string{"unknown": other, "wrong": other, "revoked": other, "expired": other, "locked": other}
}

// sample logs in by each name many times, in random order. It collects garbage between the logins and
// never during one: in a heap as small as a test's a collection takes as long as one of the cheap
// hashes, and whether a login pays for its own or the next one does depends on which of its hashes
// comes first.
func sample(h *fixture, guess map[string]func() string) map[string][]time.Duration {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var order []string
	for name := range guess {
		for range samplesPerCase {
			order = append(order, name)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	times := map[string][]time.Duration{}
	for i, name := range order {
		login, password := name, guess[name]()
		if name == "unknown" {
			login = fmt.Sprint("unknown-", i)
		}
		runtime.GC()
		begun := time.Now()
		_ = h.login(login, password)
		times[name] = append(times[name], time.Since(begun))
	}
	return times
}

// shareLonger is the share of pairs in which a is longer than b: the area under the ROC curve, or
// Mann and Whitney's U divided by the number of pairs.
func shareLonger(a, b []time.Duration) float64 {
	slices.Sort(b)
	longer := 0
	for _, d := range a {
		below, _ := slices.BinarySearch(b, d)
		longer += below
	}
	return float64(longer) / float64(len(a)*len(b))
}
