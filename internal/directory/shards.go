package directory

import (
	"hash/maphash"
	"sync"
)

// shardCount bounds how often two readers contend for one lock: with a few dozen cores that is
// rare, and a shard costs only one empty map.
const shardCount = 64

// shards is a map from string to V that is split over many locks, so that readers of different keys
// seldom contend. It is safe for concurrent use.
type shards[V any] struct {
	seed maphash.Seed
	all  [shardCount]shard[V]
}

type shard[V any] struct {
	mu sync.RWMutex
	m  map[string]V
	_  [32]byte // keeps the locks of adjacent shards in different cache lines
}

func newShards[V any]() *shards[V] {
	s := &shards[V]{seed: maphash.MakeSeed()}
	for i := range s.all {
		s.all[i].m = map[string]V{}
	}
	return s
}

func (s *shards[V]) shard(key string) *shard[V] {
	return &s.all[maphash.String(s.seed, key)%shardCount]
}

func (s *shards[V]) get(key string) (V, bool) {
	sh := s.shard(key)
	sh.mu.RLock()
	v, ok := sh.m[key]
	sh.mu.RUnlock()
	return v, ok
}

func (s *shards[V]) set(key string, v V) {
	sh := s.shard(key)
	sh.mu.Lock()
	sh.m[key] = v
	sh.mu.Unlock()
}

func (s *shards[V]) delete(key string) {
	sh := s.shard(key)
	sh.mu.Lock()
	delete(sh.m, key)
	sh.mu.Unlock()
}

// setOrDelete stores a list under a key, or deletes the key if the list is empty.
func setOrDelete[E any](s *shards[[]E], key string, list []E) {
	if len(list) == 0 {
		s.delete(key)
		return
	}
	s.set(key, list)
}

// each calls f with every entry. Writers of the same shard wait meanwhile.
func (s *shards[V]) each(f func(key string, v V)) {
	for i := range s.all {
		sh := &s.all[i]
		sh.mu.RLock()
		for key, v := range sh.m {
			f(key, v)
		}
		sh.mu.RUnlock()
	}
}

func (s *shards[V]) len() int {
	n := 0
	for i := range s.all {
		sh := &s.all[i]
		sh.mu.RLock()
		n += len(sh.m)
		sh.mu.RUnlock()
	}
	return n
}
