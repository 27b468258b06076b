package token

import (
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// KeySet holds the keys in use, which can be replaced at any time. The zero KeySet has no keys:
// nothing can be issued or verified with it. All methods are safe for concurrent use, and readers
// take no lock.
type KeySet struct {
	snapshot atomic.Pointer[snapshot]
}

// snapshot holds the keys and, prepared from them, what every request looks up.
type snapshot struct {
	keys      Keys
	verifying map[string]*Key // by the header of the JWTs that the key signs
	opening   map[string]*Key // by the raw id of the sealing key
	verified  *verified       // JWTs, with these keys
}

// Use replaces the keys in use. It does nothing when they are in use already.
func (s *KeySet) Use(keys Keys) {
	if current := s.snapshot.Load(); current != nil && current.keys.Equal(keys) {
		return
	}
	next := &snapshot{keys: keys, verifying: map[string]*Key{}, opening: map[string]*Key{}, verified: &verified{}}
	for i := range keys.list {
		k := &keys.list[i]
		if k.Use == Sign {
			next.verifying[headerOf(k)] = k
		} else if raw, err := strict.DecodeString(k.ID); err == nil {
			next.opening[string(raw)] = k
		}
	}
	s.snapshot.Store(next)
}

// Keys returns the keys in use.
func (s *KeySet) Keys() Keys { return s.load().keys }

// Ready reports whether the KeySet can issue tokens of both kinds at now.
func (s *KeySet) Ready(now time.Time) bool {
	return s.Keys().CanIssue(now)
}

// Public returns the public halves of the signing keys that have not ended at now, as the JWKS to
// publish: keys that will sign, the key that signs, and keys that only verify.
func (s *KeySet) Public(now time.Time) jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range s.Keys().All(Sign) {
		if !ended(k, now) {
			set.Keys = append(set.Keys, k.Public())
		}
	}
	return set
}

func (s *KeySet) load() *snapshot {
	if current := s.snapshot.Load(); current != nil {
		return current
	}
	return &snapshot{verified: &verified{}}
}
