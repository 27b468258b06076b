package directory

import (
	"hash/maphash"
	"math"
	"strings"
	"sync"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// decoys counts what the password checks of the users in the directory cost, so that the check of
// an unknown login can cost the same. The profile of a user is the list of the classes of its
// hashes. A user without a usable password has no profile.
type decoys struct {
	mu       sync.RWMutex
	profiles map[string]*profile
	seed     maphash.Seed
}

// profile is one list of hash classes.
type profile struct {
	users  int              // users with this profile
	decoys []*password.Hash // one of each class, which no password matches
	hash   uint64           // of the classes
}

func newDecoys() decoys {
	return decoys{profiles: map[string]*profile{}, seed: maphash.MakeSeed()}
}

// replace subtracts the old version of a user and adds the next one. Either may be nil.
func (d *decoys) replace(old, next *User) {
	if old != nil && next != nil && old.Credentials == next.Credentials {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old != nil {
		d.remove(old.Credentials)
	}
	if next != nil {
		d.add(next.Credentials)
	}
}

// add counts the profile of credentials. The caller holds mu.
func (d *decoys) add(c *Credentials) {
	name := profileOf(c)
	if name == "" {
		return
	}
	p := d.profiles[name]
	if p == nil {
		p = &profile{hash: maphash.String(d.seed, name)}
		for _, pw := range c.Passwords {
			p.decoys = append(p.decoys, pw.Hash.Decoy())
		}
		d.profiles[name] = p
	}
	p.users++
}

// remove stops counting the profile of credentials. The caller holds mu.
func (d *decoys) remove(c *Credentials) {
	name := profileOf(c)
	p := d.profiles[name]
	if p == nil {
		return
	}
	if p.users--; p.users == 0 {
		delete(d.profiles, name)
	}
}

// profileOf returns the name of the profile of credentials, or the empty name if they have none.
func profileOf(c *Credentials) string {
	var name strings.Builder
	for _, p := range c.Passwords {
		name.WriteString(p.Hash.Class() + "\n")
	}
	return name.String()
}

// Decoys returns hashes that no password matches and that cost what the hashes of some user cost. A
// login gets the same profile as long as the profiles of all users stay the same, and each profile
// goes to a share of all logins in proportion to the users who have it (weighted rendezvous
// hashing). So neither one response nor many tell an unknown login from a known one. Decoys returns
// nil while no user has a password. Callers must not change the slice.
func (d *Directory) Decoys(login string) []*password.Hash {
	decoys := &d.decoys
	decoys.mu.RLock()
	defer decoys.mu.RUnlock()
	var best *profile
	lowest := math.Inf(1)
	h := maphash.String(decoys.seed, login)
	for _, p := range decoys.profiles {
		// u is a uniform number in (0,1], drawn from login and profile. A profile has the least
		// -ln(u)/weight with a probability in proportion to its weight.
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

// scramble mixes the bits of x (the finalizer of SplitMix64).
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
