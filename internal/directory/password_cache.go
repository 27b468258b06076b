package directory

import (
	"crypto/subtle"
	"sync"
	"sync/atomic"
	"time"
)

// cacheSize is how many verified passwords of one user are remembered: as many as a User may have.
const cacheSize = 4

// PasswordCache remembers which passwords of one user were verified. It holds keyed digests of them, never a password, and only
// successes. It lives and dies with the Credentials it is part of. The zero value is empty. Readers take no lock.
type PasswordCache struct {
	entries atomic.Pointer[[]verified]
	mu      sync.Mutex // orders writers
}

type verified struct {
	digest   [32]byte
	password int // index in Credentials.Passwords
	until    time.Time
}

// Recall returns the index of the password with this digest, if it was verified and is still remembered. Digests are
// compared in constant time.
func (m *PasswordCache) Recall(digest *[32]byte, now time.Time) (password int, ok bool) {
	entries := m.entries.Load()
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

// Remember keeps the digest of a verified password until the given time. A password has one entry; the oldest makes room.
func (m *PasswordCache) Remember(digest *[32]byte, password int, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := []verified{{digest: *digest, password: password, until: until}}
	if entries := m.entries.Load(); entries != nil {
		for _, e := range *entries {
			if e.digest != *digest && len(next) < cacheSize {
				next = append(next, e)
			}
		}
	}
	m.entries.Store(&next)
}
