package token

import (
	"crypto/sha256"
	"sync"
)

// The bounds of what is remembered of verified tokens: with claims of half a kilobyte at most some 20 MiB, and a service that
// is asked about fewer tokens takes less.
const (
	verifiedShards   = 16
	verifiedPerShard = 1024 // in each of two generations
)

// verified remembers JWTs whose signature was checked, so that a token that is shown with every request costs its check once.
// It holds digests of tokens, never a token, and only successes: whoever has no good token cannot put anything out of it. What
// a token says of time, issuer and audience, and whether its user still stands, is decided anew each time.
//
// It lives and dies with the keys that it is kept beside, so a key that is gone takes its tokens along. It is safe for
// concurrent use; readers of different tokens seldom meet.
type verified struct {
	shards [verifiedShards]verifiedShard
}

// verifiedShard forgets by generations: when the young one is full it becomes the old one, and what is still asked for moves
// over.
type verifiedShard struct {
	mu         sync.RWMutex
	young, old map[verifiedKey]*Claims
}

// verifiedKey is the SHA-256 of a token: two tokens with one digest cannot be found.
type verifiedKey [sha256.Size]byte

func (v *verified) shard(key *verifiedKey) *verifiedShard { return &v.shards[key[0]%verifiedShards] }

// recall returns the claims of a token that was verified.
func (v *verified) recall(key *verifiedKey) (*Claims, bool) {
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
	return c, c != nil
}

// remember keeps the claims of a token that was verified just now. Nobody may change them afterwards.
func (v *verified) remember(key *verifiedKey, c *Claims) { v.shard(key).remember(key, c) }

func (s *verifiedShard) remember(key *verifiedKey, c *Claims) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= verifiedPerShard {
		s.young, s.old = map[verifiedKey]*Claims{}, s.young
	}
	s.young[*key] = c
}
