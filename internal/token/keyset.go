package token

import (
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// KeySet holds the keys in force and may be given new ones at any time. The zero KeySet has no keys: it issues nothing and
// verifies nothing. All methods are safe for concurrent use, and readers take no lock.
type KeySet struct {
	snapshot atomic.Pointer[snapshot]
}

// snapshot is the keys with what is looked up on every request made ready.
type snapshot struct {
	keys      Keys
	verifying map[string]*Key // header of the JWTs that it signs
	opening   map[string]*Key // raw id of a sealing key
	verified  *verified       // by these keys
}

// Use puts keys in force. It does nothing when they are in force already.
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

// Keys returns the keys in force.
func (s *KeySet) Keys() Keys { return s.load().keys }

// Ready reports whether there is a key to issue with.
func (s *KeySet) Ready(now time.Time) bool {
	return s.Keys().CanIssue(now)
}

// Public returns the public halves of the signing keys that have not ended, as the JWKS to publish: those that will sign,
// the one that signs, and those that still verify.
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
