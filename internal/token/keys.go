package token

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Keys are all keys of the service, as one Secret or one file holds them. They are an immutable
// value: Advance returns the next one. Each use has at most one key that issues, one that stands by
// to follow it, and any number that only verify.
type Keys struct {
	list     []Key
	unread   map[string][]byte // entries that are no keys, or could not be parsed; kept unchanged
	rotation bool              // RotationRequest asks for a rotation that has not begun yet
}

// RotationRequest is the name of an entry, of any content, that asks for a rotation. It serves
// those who know neither the policy nor a key. The next Advance begins the rotation and removes the
// entry.
const RotationRequest = "rotation-request"

// DecoySecret is the name of an entry that is no key. It is a secret that all replicas share and that
// no rotation changes; Keys keep it as it is.
const DecoySecret = "decoy-secret"

// ParseKeys parses keys from entries by name. The error names every entry that cannot be parsed;
// the Keys keep such entries unchanged and are usable even with an error.
func ParseKeys(entries map[string][]byte) (Keys, error) {
	keys := Keys{unread: map[string][]byte{}}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if name == RotationRequest {
			keys.rotation = true
			continue
		}
		if name == DecoySecret {
			keys.unread[name] = entries[name]
			continue
		}
		k, err := parseKey(entries[name])
		if err == nil && name != k.EntryName() {
			err = fmt.Errorf("its key belongs in an entry named %s", k.EntryName())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("entry %s: %w", name, err))
			keys.unread[name] = entries[name]
			continue
		}
		keys.list = append(keys.list, k)
	}
	keys.sort()
	return keys, errors.Join(errs...)
}

// EntryName returns the name of the entry that holds a key.
func (k Key) EntryName() string { return string(k.Use) + "-" + k.ID }

// Encode returns all keys, with their private halves, as entries by name.
func (ks Keys) Encode() (map[string][]byte, error) {
	entries := maps.Clone(ks.unread)
	if entries == nil {
		entries = map[string][]byte{}
	}
	if ks.rotation {
		entries[RotationRequest] = []byte{}
	}
	for _, k := range ks.list {
		raw, err := k.encode()
		if err != nil {
			return nil, fmt.Errorf("encode key %s: %w", k.EntryName(), err)
		}
		entries[k.EntryName()] = raw
	}
	return entries, nil
}

// All returns the keys of a use, the newest last.
func (ks Keys) All(use Use) []Key {
	return slices.Collect(func(yield func(Key) bool) {
		for _, k := range ks.list {
			if k.Use == use && !yield(k) {
				return
			}
		}
	})
}

// Current returns the key of a use that issues at now, which is the one that became active last,
// and reports whether there is one.
func (ks Keys) Current(use Use, now time.Time) (Key, bool) {
	var current Key
	for _, k := range ks.list {
		if k.Use == use && k.active(now) && k.ActiveAt.After(current.ActiveAt) {
			current = k
		}
	}
	return current, current.ID != ""
}

// CanIssue reports whether each use has a key that issues at now.
func (ks Keys) CanIssue(now time.Time) bool {
	_, signs := ks.Current(Sign, now)
	_, seals := ks.Current(Seal, now)
	return signs && seals
}

// Equal reports whether both hold the same keys with the same times, and the same rotation request.
func (ks Keys) Equal(other Keys) bool {
	return slices.EqualFunc(ks.list, other.list, func(a, b Key) bool {
		return a.ID == b.ID && a.Use == b.Use && a.Created.Equal(b.Created) && a.ActiveAt.Equal(b.ActiveAt) &&
			a.ReplacedAt.Equal(b.ReplacedAt) && a.EndsAt.Equal(b.EndsAt)
	}) && ks.rotation == other.rotation && maps.EqualFunc(ks.unread, other.unread, bytes.Equal)
}

// active reports whether a key may issue at now: it is active and has not been replaced.
func (k Key) active(now time.Time) bool {
	return !k.ActiveAt.IsZero() && !now.Before(k.ActiveAt) && (k.ReplacedAt.IsZero() || now.Before(k.ReplacedAt))
}

// vouches reports whether a token made with the key is to be believed at now: the key has not ended,
// and it issued tokens at the time that the token claims, give or take the difference of clocks.
// Whoever got hold of a key that has been replaced or still stands by cannot make new tokens with
// it. The key itself decides, because a replica that lags behind may not have removed it yet.
func (k *Key) vouches(c Claims, now time.Time) bool {
	return !ended(*k, now) && !k.ActiveAt.IsZero() && !c.IssuedAt.Before(k.ActiveAt.Add(-leeway)) &&
		(k.ReplacedAt.IsZero() || c.IssuedAt.Before(k.ReplacedAt.Add(leeway)))
}

func (ks *Keys) sort() {
	slices.SortFunc(ks.list, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Use, b.Use), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}
