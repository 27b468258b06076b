package directory

import (
	"crypto/subtle"
	"sync"
	"sync/atomic"
	"time"
)

// cacheSize is the number of verified passwords in the cache of one user: as many as a User may
// have.
const cacheSize = 4

// touchInterval is how far the time of the last use may lag, so that readers seldom write.
const touchInterval = time.Second

// PasswordCache remembers which passwords of one user were verified. It holds keyed digests of them
// and never a password, and it holds no failures. It is discarded with the Credentials that it is
// part of. It is safe for concurrent use, and readers take no lock. The zero value is empty.
type PasswordCache struct {
	entries atomic.Pointer[[]*Verified]
	mu      sync.Mutex // orders writers
}

// Verified is a password in the cache.
type Verified struct {
	Password int // index in Credentials.Passwords

	digest     [32]byte
	verifiedAt time.Time
	usedAt     atomic.Int64 // UNIX time in nanoseconds
}

// Recall returns the entry of the password with this digest, or nil if it has not logged in within
// SuccessRetention of now. It compares digests in constant time.
func (c *PasswordCache) Recall(digest *[32]byte, now time.Time) *Verified {
	entries := c.entries.Load()
	if entries == nil {
		return nil
	}
	for _, v := range *entries {
		if subtle.ConstantTimeCompare(v.digest[:], digest[:]) == 1 && now.Sub(v.lastUse()) < SuccessRetention {
			return v
		}
	}
	return nil
}

// Fresh reports whether the password need not be verified again at now: it was used within idle, and
// verified within SuccessRetention or, if that is longer, within idle.
func (v *Verified) Fresh(now time.Time, idle time.Duration) bool {
	return now.Sub(v.lastUse()) < idle && now.Sub(v.verifiedAt) < max(idle, SuccessRetention)
}

// Use records that the password has just logged in.
func (v *Verified) Use(now time.Time) {
	if now.Sub(v.lastUse()) >= touchInterval {
		v.usedAt.Store(now.UnixNano())
	}
}

func (v *Verified) lastUse() time.Time { return time.Unix(0, v.usedAt.Load()) }

// Remember keeps the digest of a password that was verified at now. Each digest has one entry. A
// full cache drops its oldest one.
func (c *PasswordCache) Remember(digest *[32]byte, password int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &Verified{Password: password, digest: *digest, verifiedAt: now}
	v.usedAt.Store(now.UnixNano())
	next := []*Verified{v}
	if entries := c.entries.Load(); entries != nil {
		for _, e := range *entries {
			if e.digest != *digest && len(next) < cacheSize {
				next = append(next, e)
			}
		}
	}
	c.entries.Store(&next)
}
