package directory

import (
	"cmp"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// referenceTime bounds the reference cost, as password.Cost estimates it, unless the hash that most
// users have takes longer. A guess must not occupy a core for much longer than it would if it were
// compared with a hash of the usual kind.
const referenceTime = 500 * time.Millisecond

// decoys counts what the password checks of the users in the directory cost, so that the refusal of
// one login costs what the refusal of any other does.
//
// The reference cost is one hash of every class that users have, in the number in which a user has
// it, as far as referenceTime allows. Every refusal computes all of it: the user's own hashes, and
// decoys of the classes that the user does not have. What is left are extras: hashes of a few users
// that are too costly to charge everyone with. An unknown login has extras as well, with the
// probability with which a user has them.
type decoys struct {
	mu       sync.Mutex
	profiles map[string]*profile
	mix      atomic.Pointer[mix] // nil: to be computed from the profiles
	key      atomic.Pointer[[]byte]
	missing  atomic.Bool // key is not the one that the replicas share
}

// profile is one multiset of hash classes, and how many users have it. The profile of users without
// a costly hash is empty.
type profile struct {
	users int
	items []item
}

// item is the nth hash of a class that one user has.
type item struct {
	class  string
	nth    int
	sample *password.Hash // of the class; no password matches it
}

func (i item) name() string { return strconv.Itoa(i.nth) + " " + i.class }

// mix is what refusals cost.
type mix struct {
	reference []item
	extras    []extras
}

// extras is what some users have beyond the reference cost. Most have nothing.
type extras struct {
	users int
	items []item
	hash  uint64 // of the names of the items, under the key
}

func (d *decoys) init() {
	d.profiles = map[string]*profile{}
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails, by its own contract
	d.key.Store(&key)
}

// UseDecoySecret derives everything about decoys that is left to chance from a secret. Replicas with one
// secret, and a process before and after a restart, treat an unknown login alike, so that no number
// of them tells it from a known one. Without a secret, each Directory draws its own.
func (d *Directory) UseDecoySecret(secret []byte) {
	key, err := hkdf.Key(sha256.New, secret, nil, "gatehouse decoys", sha256.Size)
	if err != nil {
		return // impossible for a key of this length
	}
	d.decoys.mu.Lock()
	defer d.decoys.mu.Unlock()
	d.decoys.key.Store(&key)
	d.decoys.mix.Store(nil)
	d.decoys.missing.Store(false)
}

// ExpectDecoySecret makes HasDecoySecret report false until UseDecoySecret is called.
func (d *Directory) ExpectDecoySecret() { d.decoys.missing.Store(true) }

// HasDecoySecret reports whether decoys are those of all replicas. Until then, a refusal could tell an
// unknown login from a known one.
func (d *Directory) HasDecoySecret() bool { return !d.decoys.missing.Load() }

// replace subtracts the old version of a user and adds the next one. Either may be nil.
func (d *decoys) replace(old, next *User) {
	if old != nil && next != nil && old.Credentials == next.Credentials {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old != nil {
		d.count(old.Credentials, -1)
	}
	if next != nil {
		d.count(next.Credentials, 1)
	}
	d.mix.Store(nil)
}

// count adds a number of users with the profile of credentials. The caller holds mu.
func (d *decoys) count(c *Credentials, users int) {
	items := itemsOf(c)
	name := nameOf(items)
	p := d.profiles[name]
	if p == nil {
		for i := range items {
			items[i].sample = items[i].sample.Decoy()
		}
		p = &profile{items: items}
		d.profiles[name] = p
	}
	if p.users += users; p.users == 0 {
		delete(d.profiles, name)
	}
}

// itemsOf returns the costly hashes of credentials, ordered by class.
func itemsOf(c *Credentials) []item {
	var items []item
	for _, p := range c.Passwords {
		if !p.Hash.Free() {
			items = append(items, item{class: p.Hash.Class(), sample: p.Hash})
		}
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.class, b.class) })
	for i := range items {
		if i > 0 && items[i].class == items[i-1].class {
			items[i].nth = items[i-1].nth + 1
		}
	}
	return items
}

func nameOf(items []item) string {
	var name strings.Builder
	for _, i := range items {
		name.WriteString(i.name() + "\n")
	}
	return name.String()
}

// current returns the mix of the users as they are now.
func (d *decoys) current() *mix {
	if m := d.mix.Load(); m != nil {
		return m
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &mix{reference: d.reference()}
	m.extras = d.extras(m.reference)
	d.mix.Store(m)
	return m
}

// reference chooses the items of the reference cost: those of most users first. The caller holds mu.
func (d *decoys) reference() (chosen []item) {
	users, items := map[string]int{}, map[string]item{}
	for _, p := range d.profiles {
		for _, i := range p.items {
			users[i.name()] += p.users
			items[i.name()] = i
		}
	}
	names := make([]string, 0, len(users))
	for name := range users {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(users[b]-users[a], cmp.Compare(a, b)) })
	var total time.Duration
	for n, name := range names {
		cost := items[name].sample.Cost().Time
		if n > 0 && total+cost > referenceTime {
			continue
		}
		total += cost
		chosen = append(chosen, items[name])
	}
	return chosen
}

// extras groups the users by what they have beyond the reference. The caller holds mu.
func (d *decoys) extras(reference []item) []extras {
	charged := map[string]bool{}
	for _, i := range reference {
		charged[i.name()] = true
	}
	groups := map[string]*extras{}
	for _, p := range d.profiles {
		beyond := slices.DeleteFunc(slices.Clone(p.items), func(i item) bool { return charged[i.name()] })
		name := nameOf(beyond)
		if groups[name] == nil {
			groups[name] = &extras{items: beyond, hash: d.keyedHash("extras\n" + name)}
		}
		groups[name].users += p.users
	}
	var all []extras
	for _, g := range groups {
		all = append(all, *g)
	}
	return all
}

// keyedHash returns a number that only those who have the key can compute.
func (d *decoys) keyedHash(text string) uint64 {
	mac := hmac.New(sha256.New, *d.key.Load())
	_, _ = mac.Write([]byte(text)) // never returns an error
	return binary.BigEndian.Uint64(mac.Sum(nil))
}

// Decoys returns hashes that no password matches and that cost what the refusal of some user costs.
// A login gets the same ones as long as the profiles of all users stay the same.
func (d *Directory) Decoys(login string) []*password.Hash {
	m := d.decoys.current()
	extras := d.decoys.draw(m, login)
	return d.decoys.make(login, append(slices.Clone(m.reference), extras...))
}

// TopUp returns decoys that make the refusal of a user cost what every refusal costs. own are the
// hashes of the user.
func (d *Directory) TopUp(login string, own []*password.Hash) []*password.Hash {
	reference := d.decoys.current().reference
	have := map[string]int{}
	for _, h := range own {
		if !h.Free() {
			have[h.Class()]++
		}
	}
	decoys := d.decoys.make(login, reference) // all of them, which takes the same time for everyone
	var missing []*password.Hash
	for n, i := range reference {
		if i.nth >= have[i.class] {
			missing = append(missing, decoys[n])
		}
	}
	return missing
}

// make returns the decoys of a login.
func (d *decoys) make(login string, items []item) []*password.Hash {
	key := *d.key.Load()
	decoys := make([]*password.Hash, len(items))
	for n, i := range items {
		decoys[n] = i.sample.KeyedDecoy(key, i.name()+"\n"+login)
	}
	return decoys
}

// draw returns the extras of an unknown login. Each group of extras goes to a share of all logins in
// proportion to the users who have it (weighted rendezvous hashing).
func (d *decoys) draw(m *mix, login string) []item {
	if len(m.extras) < 2 {
		return firstExtras(m)
	}
	best, lowest := 0, math.Inf(1)
	h := d.keyedHash("login\n" + login)
	for n, e := range m.extras {
		// u is a uniform number in (0,1], drawn from login and extras. Extras have the least
		// -ln(u)/weight with a probability in proportion to their weight.
		u := (float64(scramble(h^e.hash)>>11) + 1) / (1 << 53)
		if score := -math.Log(u) / float64(e.users); score < lowest {
			best, lowest = n, score
		}
	}
	return m.extras[best].items
}

func firstExtras(m *mix) []item {
	if len(m.extras) == 0 {
		return nil
	}
	return m.extras[0].items
}

// scramble mixes the bits of x (the finalizer of SplitMix64).
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
