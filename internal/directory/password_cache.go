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

// PasswordCache remembers which passwords of one user were verified. It holds keyed digests of them
// and never a password, and it holds no failures. It is discarded with the Credentials that it is
// part of. It is safe for concurrent use, and readers take no lock. The zero value is empty.
type PasswordCache struct {
	entries atomic.Pointer[[]verified]
	mu      sync.Mutex // orders writers
}

type verified struct {
	digest   [32]byte
	password int // index in Credentials.Passwords
	until    time.Time
}

// Recall returns the index of the password with this digest and reports whether the cache still has
// it at now. It compares digests in constant time.
func (c *PasswordCache) Recall(digest *[32]byte, now time.Time) (password int, ok bool) {
	entries := c.entries.Load()
	if entries == nil {
		return 0, false
	}
	for i := range *entries {
		e := &(*entries)[i]
		if subtle.ConstantTimeCompare(e.digest[:], digest[:]) == 1 && now.Before(e.until) {
			return e.password, true
		}
	}
	return 0, false
}

// Remember keeps the digest of a verified password until the given time. Each digest has one entry.
// A full cache drops its oldest one.
func (c *PasswordCache) Remember(digest *[32]byte, password int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := []verified{{digest: *digest, password: password, until: until}}
	if entries := c.entries.Load(); entries != nil {
		for _, e := range *entries {
			if e.digest != *digest && len(next) < cacheSize {
				next = append(next, e)
			}
		}
	}
	c.entries.Store(&next)
}
