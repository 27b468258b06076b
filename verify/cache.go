package verify

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	shards   = 16
	perShard = 1024 // in each of two generations
)

// cache holds verified tokens by digest, never a token. It forgets by generations.
type cache struct {
	shards [shards]shard
}

type shard struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]*entry
}

// entry is a token that was found good.
type entry struct {
	id    Identity
	keys  *keySet   // by which a JWT was checked
	until time.Time // until when the answer about an opaque token counts
}

func (c *cache) get(digest *[sha256.Size]byte) *entry {
	s := &c.shards[digest[0]%shards]
	s.mu.RLock()
	e, young := s.young[*digest]
	if !young {
		e = s.old[*digest]
	}
	s.mu.RUnlock()
	if e != nil && !young {
		s.put(digest, e)
	}
	return e
}

func (c *cache) put(digest *[sha256.Size]byte, e *entry) { c.shards[digest[0]%shards].put(digest, e) }

func (s *shard) put(digest *[sha256.Size]byte, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= perShard {
		s.young, s.old = map[[sha256.Size]byte]*entry{}, s.young
	}
	s.young[*digest] = e
}
