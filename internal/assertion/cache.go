package assertion

import (
	"crypto/sha256"
	"sync"
)

// The bounds of the cache of verified assertions: some 16 MiB with claims of two kilobytes each.
const (
	cacheShards   = 16
	cachePerShard = 256 // in each of two generations
)

// cache remembers assertions whose signature was verified, by digest, so that an assertion that
// comes with every login costs one check. It holds no failures: a client without a good assertion
// cannot evict anything. Whether issuer and key are still good, the audience and the times are
// checked again each time. It is safe for concurrent use, and the zero cache is empty.
type cache struct {
	shards [cacheShards]cacheShard
}

// cacheShard evicts by generations: a full young generation becomes the old one, and entries of the
// old one that are still in use move to the young one.
type cacheShard struct {
	mu         sync.RWMutex
	young, old map[cacheKey]*verified
}

// cacheKey is the SHA-256 of an assertion.
type cacheKey = [sha256.Size]byte

// verified is an assertion with the key that has signed it. It is immutable.
type verified struct {
	claims Claims
	issuer *Issuer
	key    *key
}

// recall returns what is remembered of an assertion, or nil.
func (c *cache) recall(digest *cacheKey) *verified {
	s := &c.shards[digest[0]%cacheShards]
	s.mu.RLock()
	v, young := s.young[*digest]
	if !young {
		v = s.old[*digest]
	}
	s.mu.RUnlock()
	if v != nil && !young {
		c.remember(digest, v)
	}
	return v
}

// remember adds an assertion that has just been verified.
func (c *cache) remember(digest *cacheKey, v *verified) {
	s := &c.shards[digest[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= cachePerShard {
		s.young, s.old = map[cacheKey]*verified{}, s.young
	}
	s.young[*digest] = v
}
