package directory

import (
	"hash/maphash"
	"math"
	"strings"
	"sync"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// decoys counts which kinds of password checks the users of the directory cost, so that a login that nobody has can cost the
// same. A user's profile is the list of its hashes that cost something, without their salts; users without any usable
// password have none.
type decoys struct {
	mu       sync.RWMutex
	profiles map[string]*profile
	seed     maphash.Seed
}

type profile struct {
	users  int
	decoys []*password.Hash
	hash   uint64
}

func newDecoys() decoys {
	return decoys{profiles: map[string]*profile{}, seed: maphash.MakeSeed()}
}

// replace counts a user's version out and the next one in; either may be nil.
func (m *decoys) replace(old, next *User) {
	if old != nil && next != nil && old.Credentials == next.Credentials {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old != nil {
		m.leave(old.Credentials)
	}
	if next != nil {
		m.enter(next.Credentials)
	}
}

func (m *decoys) enter(c *Credentials) {
	name := profileOf(c)
	if name == "" {
		return
	}
	p := m.profiles[name]
	if p == nil {
		p = &profile{hash: maphash.String(m.seed, name)}
		for _, pw := range c.Passwords {
			p.decoys = append(p.decoys, pw.Hash.Decoy())
		}
		m.profiles[name] = p
	}
	p.users++
}

func (m *decoys) leave(c *Credentials) {
	name := profileOf(c)
	p := m.profiles[name]
	if p == nil {
		return
	}
	if p.users--; p.users == 0 {
		delete(m.profiles, name)
	}
}

func profileOf(c *Credentials) string {
	var name strings.Builder
	for _, p := range c.Passwords {
		name.WriteString(p.Hash.Class() + "\n")
	}
	return name.String()
}

// Decoys returns hashes that no password matches and that cost what the hashes of some user cost. One login always gets
// the same user's kind while the mix does not change, and the kinds are dealt out in proportion to the users who have them
// (weighted rendezvous hashing), so neither one answer nor many tell an unknown login from a known one. There are none while
// nobody can log in.
func (d *Directory) Decoys(login string) []*password.Hash {
	m := &d.decoys
	m.mu.RLock()
	defer m.mu.RUnlock()
	var best *profile
	lowest := math.Inf(1)
	h := maphash.String(m.seed, login)
	for _, p := range m.profiles {
		// A uniform number in (0,1] drawn from login and profile; -ln(u)/weight is least for each profile with a
		// probability in proportion to its weight.
		u := (float64(scramble(h^p.hash)>>11) + 1) / (1 << 53)
		if score := -math.Log(u) / float64(p.users); score < lowest {
			best, lowest = p, score
		}
	}
	if best == nil {
		return nil
	}
	return best.decoys
}

// scramble spreads the bits of x (the finalizer of SplitMix64).
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
