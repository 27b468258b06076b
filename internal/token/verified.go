package token

import (
	"crypto/sha256"
	"sync"
)

// The bounds of the cache of verified tokens: some 20 MiB at most with claims of half a kilobyte
// each. A service that sees fewer tokens uses less.
const (
	verifiedShards   = 16
	verifiedPerShard = 1024 // in each of two generations
)

// verified is a cache of JWTs whose signature was checked, so that a token that comes with every
// request costs one check. It holds digests and claims of tokens but never a token, and it holds no
// failures: a client without a good token cannot evict anything. The time, issuer and audience of a
// token, and the status of its user, are checked again each time. It belongs to one snapshot of the
// keys, so a key that is removed takes its tokens along. It is safe for concurrent use; readers of
// different tokens seldom contend.
type verified struct {
	shards [verifiedShards]verifiedShard
}

// verifiedShard evicts by generations: a full young generation becomes the old one, and entries of
// the old one that are still in use move to the young one.
type verifiedShard struct {
	mu         sync.RWMutex
	young, old map[verifiedKey]*verifiedJWT
}

// verifiedJWT is what a JWT claims, and the key that has signed it.
type verifiedJWT struct {
	claims Claims
	key    *Key
}

// verifiedKey is the SHA-256 of a token. No one can find two tokens with the same digest.
type verifiedKey [sha256.Size]byte

func (v *verified) shard(key *verifiedKey) *verifiedShard { return &v.shards[key[0]%verifiedShards] }

// recall returns a token, or nil if the cache does not have it.
func (v *verified) recall(key *verifiedKey) *verifiedJWT {
	s := v.shard(key)
	s.mu.RLock()
	c, young := s.young[*key]
	if !young {
		c = s.old[*key]
	}
	s.mu.RUnlock()
	if c != nil && !young {
		s.remember(key, c)
	}
	return c
}

// remember adds a token that has just been verified. No one may change it afterwards.
func (v *verified) remember(key *verifiedKey, c *verifiedJWT) { v.shard(key).remember(key, c) }

func (s *verifiedShard) remember(key *verifiedKey, c *verifiedJWT) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= verifiedPerShard {
		s.young, s.old = map[verifiedKey]*verifiedJWT{}, s.young
	}
	s.young[*key] = c
}
