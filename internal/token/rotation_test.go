package token_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

var start = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func policy(algorithm string) token.Policy {
	return token.Policy{
		Algorithm: algorithm, Interval: 30 * day,
		Lifetime: map[token.Use]time.Duration{token.Sign: day, token.Seal: 90 * day},
	}
}

func advance(t testing.TB, keys token.Keys, now time.Time, p token.Policy) token.Keys {
	t.Helper()
	next, err := keys.Advance(now, p)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// edit changes the stored entries of keys, as someone with an editor does.
func edit(t testing.TB, keys token.Keys, change func(map[string][]byte)) token.Keys {
	t.Helper()
	entries, err := keys.Encode()
	if err != nil {
		t.Fatal(err)
	}
	change(entries)
	edited, err := token.ParseKeys(entries)
	if err != nil {
		t.Fatal(err)
	}
	return edited
}

func requestRotation(entries map[string][]byte) { entries[token.RotationRequest] = nil }

func issuing(t testing.TB, keys token.Keys, use token.Use, now time.Time) token.Key {
	t.Helper()
	k, ok := keys.Current(use, now)
	if !ok {
		t.Fatalf("at %v there is no key to %s with", now, use)
	}
	return k
}

// upcoming returns the keys of a use that have never issued.
func upcoming(keys token.Keys, use token.Use, now time.Time) []token.Key {
	var out []token.Key
	for _, k := range keys.All(use) {
		if k.ActiveAt.IsZero() || k.ActiveAt.After(now) {
			out = append(out, k)
		}
	}
	return out
}

func TestFirstKeysIssueAndNextStandBy(t *testing.T) {
	t.Parallel()
	keys := advance(t, token.Keys{}, start, policy(token.ES256))
	for _, use := range []token.Use{token.Sign, token.Seal} {
		issuing(t, keys, use, start)
		issuing(t, keys, use, start.Add(-30*time.Second)) // on a replica whose clock is behind
		if got := len(upcoming(keys, use, start)); got != 1 {
			t.Errorf("%d keys stand by to %s, want 1", got, use)
		}
	}
	if again := advance(t, keys, start.Add(time.Minute), policy(token.ES256)); !again.Equal(keys) {
		t.Error("keys change although nothing is due")
	}
}

func TestAnUnknownAlgorithmIsRefused(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"", "none", "HS256", "es256"} {
		if _, err := (token.Keys{}).Advance(start, policy(algorithm)); err == nil {
			t.Errorf("keys for algorithm %q were made", algorithm)
		}
	}
}

func TestOldKeyIsReplacedByPublishedOne(t *testing.T) {
	t.Parallel()
	p := policy(token.ES256)
	keys := advance(t, token.Keys{}, start, p)
	old, successor := issuing(t, keys, token.Sign, start), upcoming(keys, token.Sign, start)[0]

	due := start.Add(30 * day)
	if early := advance(t, keys, due.Add(-2*time.Minute), p); !early.Equal(keys) {
		t.Fatal("a key is replaced before its time")
	}
	keys = advance(t, keys, due, p)
	if got := issuing(t, keys, token.Sign, due).ID; got != old.ID {
		t.Error("the takeover happens before all replicas can know of it")
	}
	if got := issuing(t, keys, token.Sign, due.Add(2*time.Minute)).ID; got != successor.ID {
		t.Error("another key takes over than the one that was published")
	}
	for at, want := range map[time.Time]bool{
		due.Add(day):                  true,
		due.Add(day + 15*time.Minute): false,
	} {
		set := &token.KeySet{}
		set.Use(advance(t, keys, at, p))
		public := set.Public(at)
		if got := len(public.Key(old.ID)) == 1; got != want {
			t.Errorf("at %v the replaced key is published: %t, want %t", at, got, want)
		}
	}
}

func TestRequestedRotation(t *testing.T) {
	t.Parallel()
	p := policy(token.ES256)
	first := advance(t, token.Keys{}, start, p)
	old, successor := issuing(t, first, token.Sign, start), upcoming(first, token.Sign, start)[0]
	for name, c := range map[string]struct {
		asked  time.Duration
		begins time.Duration
		with   token.Policy
	}{
		"begins at once when the next key has been published for long":  {day, time.Minute, p},
		"waits for the next key to be published":                        {time.Minute, 19 * time.Minute, p},
		"waits for a key of another algorithm that was just configured": {day, 20 * time.Minute, policy(token.EdDSA)},
	} {
		t.Run(name, func(t *testing.T) {
			now := start.Add(c.asked)
			keys := advance(t, edit(t, first, requestRotation), now, c.with)
			if got := issuing(t, keys, token.Sign, now.Add(c.begins-time.Second)); got.ID != old.ID {
				t.Error("another key signs too early")
			}
			got := issuing(t, keys, token.Sign, now.Add(c.begins))
			if got.ID == old.ID || got.Algorithm != c.with.Algorithm {
				t.Errorf("at the time of takeover %s key %s signs", got.Algorithm, got.ID)
			}
			if c.with.Algorithm == p.Algorithm && got.ID != successor.ID {
				t.Error("another key takes over than the one that was published")
			}
			again := advance(t, keys, now.Add(time.Second), c.with)
			if !again.Equal(keys) {
				t.Error("the request is not forgotten once it is carried out")
			}
			if twice := advance(t, edit(t, keys, requestRotation), now.Add(time.Second), c.with); !twice.Equal(keys) {
				t.Error("a second request disturbs the takeover that has begun")
			}
		})
	}
}

func TestAChangedAlgorithmRotates(t *testing.T) {
	t.Parallel()
	keys := advance(t, token.Keys{}, start, policy(token.ES256))
	before := issuing(t, keys, token.Seal, start)
	now := start.Add(day)
	for range 60 {
		keys = advance(t, keys, now, policy(token.RS256))
		now = now.Add(time.Minute)
	}
	if got := issuing(t, keys, token.Sign, now).Algorithm; got != token.RS256 {
		t.Errorf("an hour later tokens are signed with %s", got)
	}
	if issuing(t, keys, token.Seal, now).ID != before.ID {
		t.Error("the sealing key was replaced too")
	}
}

func TestStandbyIssuesWhenCurrentKeyIsRemoved(t *testing.T) {
	t.Parallel()
	p := policy(token.ES256)
	keys := advance(t, token.Keys{}, start, p)
	now := start.Add(day)
	for _, use := range []token.Use{token.Sign, token.Seal} {
		current, next := issuing(t, keys, use, now), upcoming(keys, use, now)[0]
		after := advance(t, edit(t, keys, func(entries map[string][]byte) { delete(entries, current.EntryName()) }), now, p)
		if got := issuing(t, after, use, now).ID; got != next.ID {
			t.Errorf("another key %ss than the one that stood by", use)
		}
		if len(upcoming(after, use, now)) != 1 {
			t.Errorf("no key stands by to %s", use)
		}
	}
}

func TestKeyRemovedDuringTakeover(t *testing.T) {
	t.Parallel()
	p := policy(token.ES256)
	keys := advance(t, token.Keys{}, start, p)
	now := start.Add(day)
	keys = advance(t, edit(t, keys, requestRotation), now, p)
	appointed := issuing(t, keys, token.Sign, now.Add(time.Hour))
	keys = edit(t, keys, func(entries map[string][]byte) { delete(entries, appointed.EntryName()) })
	for range 3 {
		keys = advance(t, keys, now, p)
		issuing(t, keys, token.Sign, now)
		now = now.Add(time.Hour)
	}
}

// replica is one process of the service: it sees what is stored with a delay, and its clock
// differs.
type replica struct {
	seen token.Keys
	set  *token.KeySet
	at   int           // version of what it sees
	lag  time.Duration // until it sees a change
	skew time.Duration
}

// verifier is a foreign process that asks for the keys when its copy is too old, and never
// otherwise.
type verifier struct {
	keys    jose.JSONWebKeySet
	fetched time.Time
}

// promise is a token that must be good until it ends.
type promise struct {
	key  string
	ends time.Time
}

// year is a service of several replicas that share stored versions of their keys, with its
// verifiers.
type year struct {
	t         *testing.T
	now       time.Time
	policy    token.Policy
	stored    []token.Keys
	storedAt  []time.Time
	replicas  []*replica
	verifiers []*verifier
	promises  map[token.Use][]promise // in the order in which they end
	signers   map[string]bool
}

func (y *year) store(keys token.Keys) {
	y.stored, y.storedAt = append(y.stored, keys), append(y.storedAt, y.now)
}

// step is how far apart two looks are: closer while a change is under way.
func (y *year) step() time.Duration {
	if y.now.Sub(y.storedAt[len(y.storedAt)-1]) < time.Hour {
		return 30 * time.Second
	}
	return 15 * time.Minute
}

// look lets a replica see the newest version that has reached it, and advance it. Only who has seen
// the newest may store.
func (y *year) look(r *replica) {
	for r.at+1 < len(y.stored) && !y.now.Before(y.storedAt[r.at+1].Add(r.lag)) {
		r.at++
		r.seen = y.stored[r.at]
		r.set.Use(r.seen)
	}
	if next := advance(y.t, r.seen, y.now.Add(r.skew), y.policy); r.at == len(y.stored)-1 && !next.Equal(r.seen) {
		y.store(next)
	}
}

// issue issues a token of each kind on some replica and checks that every verifier can verify it.
func (y *year) issue() {
	r := y.replicas[rand.IntN(len(y.replicas))]
	for _, use := range []token.Use{token.Sign, token.Seal} {
		k := issuing(y.t, r.seen, use, y.now.Add(r.skew))
		y.promises[use] = append(y.promises[use], promise{k.ID, y.now.Add(y.policy.Lifetime[use])})
		if use == token.Sign {
			y.signers[k.ID] = true
			y.verify(k.ID)
		}
	}
}

func (y *year) verify(kid string) {
	for i, v := range y.verifiers {
		if y.now.Sub(v.fetched) >= token.JWKSMaxAge {
			from := y.replicas[rand.IntN(len(y.replicas))]
			v.keys, v.fetched = from.set.Public(y.now.Add(from.skew)), y.now
		}
		if len(v.keys.Key(kid)) != 1 {
			y.t.Fatalf("%v: verifier %d meets the unknown key %s", y.now, i, kid)
		}
	}
}

// settle checks the tokens that have ended since the replicas last looked: up to here all must
// still know their keys.
func (y *year) settle() {
	for use, open := range y.promises {
		for len(open) > 0 && !y.now.Before(open[0].ends) {
			for i, r := range y.replicas {
				if !knows(r.seen, use, open[0].key) {
					y.t.Fatalf("%v: replica %d has no key %s any more for a token that ends at %v", y.now, i, open[0].key, open[0].ends)
				}
			}
			open = open[1:]
		}
		y.promises[use] = open
	}
}

func knows(keys token.Keys, use token.Use, id string) bool {
	for _, k := range keys.All(use) {
		if k.ID == id {
			return true
		}
	}
	return false
}

// Three replicas with different clocks hear late of one another's writes; five verifiers keep the
// published keys for as long as they may and never ask again for a key they do not know. Keys
// rotate by age, and now and then on request. In a year no verifier may meet an unknown key, and no
// key may go before the last token it made.
func TestNoUnknownKeyInAYear(t *testing.T) {
	t.Parallel()
	y := &year{t: t, now: start, policy: policy(token.EdDSA), promises: map[token.Use][]promise{}, signers: map[string]bool{}}
	y.policy.Interval = 10 * day
	y.policy.Lifetime[token.Seal] = 40 * day
	y.store(advance(t, token.Keys{}, y.now, y.policy))
	for i, lag := range []time.Duration{0, 40 * time.Second, 5 * time.Minute} {
		r := &replica{seen: y.stored[0], set: &token.KeySet{}, lag: lag, skew: time.Duration(i-1) * 15 * time.Second}
		r.set.Use(r.seen)
		y.replicas = append(y.replicas, r)
	}
	for range 5 {
		y.verifiers = append(y.verifiers, &verifier{})
	}
	for y.now.Before(start.Add(365 * day)) {
		step := y.step()
		if rand.Int64N(int64(12*day)) < int64(step) || (step < time.Minute && rand.IntN(1000) == 0) {
			y.store(edit(t, y.stored[len(y.stored)-1], requestRotation))
		}
		for _, i := range rand.Perm(len(y.replicas)) {
			y.look(y.replicas[i])
		}
		y.issue()
		y.now = y.now.Add(step)
		y.settle()
	}
	if len(y.signers) < 36 {
		t.Errorf("%d keys have signed in a year, want at least 36", len(y.signers))
	}
	if last := y.stored[len(y.stored)-1]; len(last.All(token.Sign)) > 5 || len(last.All(token.Seal)) > 20 {
		t.Errorf("%d and %d keys are left: old ones do not go", len(last.All(token.Sign)), len(last.All(token.Seal)))
	}
}
