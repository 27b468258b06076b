package token

import (
	"slices"
	"time"
)

// JWKSMaxAge is how long verifiers may keep the published keys. Keycloak's and Auth0's clients refetch after 5 to 10
// minutes; a shorter time helps nobody, since the next key is published long before.
const JWKSMaxAge = 5 * time.Minute

// publishLead is how long a signing key is published before it signs: every cache of the keys has been renewed by then,
// also one that was filled by a replica that was late by its own minutes to hear of the key.
const publishLead = 4 * JWKSMaxAge

// endGrace is added to the time a replaced key goes on verifying, for replicas that hear late of its successor and for
// clocks that differ.
const endGrace = 10 * time.Minute

// notice is how long before a takeover it is written down, so that every replica knows of it when it happens, and how far
// a first key's begin is set back, so that a replica whose clock is behind can issue too.
const notice = time.Minute

// Policy says how keys rotate.
type Policy struct {
	Algorithm string        // of signing keys: ES256, EdDSA or RS256
	Interval  time.Duration // how long a key issues before the next one takes over
	// The longest life of a token that a key of this use may issue: so long it verifies after its successor took over.
	Lifetime map[Use]time.Duration
}

// Advance returns the keys as they should be at a time: ended keys gone, a key that issues, another one that stands by,
// and the one that stands by made active when the current one is old enough or somebody asked for it: at once, or as soon as
// it has been published for long enough. The same keys come back when nothing is due.
// Every replica may call it; the first to store the result wins.
//
// When there is nothing to verify yet, the first key issues at once. So does the key that stands by when the current one
// is missing, because somebody removed it: a verifier that caches the JWKS knows it already.
func (ks Keys) Advance(now time.Time, p Policy) (Keys, error) {
	next := ks
	next.list = slices.DeleteFunc(slices.Clone(ks.list), func(k Key) bool { return ended(k, now) })
	for _, use := range []Use{Sign, Seal} {
		if err := next.advance(use, now, p); err != nil {
			return ks, err
		}
	}
	next.rotation = false
	next.sort()
	return next, nil
}

func (ks *Keys) advance(use Use, now time.Time, p Policy) error {
	ks.dropStandby(use, func(k Key) bool { return use == Sign && k.Algorithm != p.Algorithm })
	current, ok := ks.Current(use, now)
	if !ok {
		return ks.begin(use, now, p)
	}
	if err := ks.keepStandby(use, now, p); err != nil {
		return err
	}
	if (ks.rotation || ks.due(current, now, p)) && !ks.takeoverBegun(use, now) {
		ks.promote(use, now, p)
	}
	return ks.keepStandby(use, now, p)
}

// begin makes some key issue at once: the one appointed to follow, else the one that stands by, else a new one.
func (ks *Keys) begin(use Use, now time.Time, p Policy) error {
	i := slices.IndexFunc(ks.list, func(k Key) bool { return k.Use == use && k.ActiveAt.After(now) })
	if i < 0 {
		if err := ks.keepStandby(use, now, p); err != nil {
			return err
		}
		i = ks.standby(use)
	}
	ks.list[i].ActiveAt = now.Add(-notice)
	return ks.keepStandby(use, now, p)
}

// due says whether the current key is to be replaced: it is old, or it is of another algorithm than is asked for. Its
// successor must have been published for long enough.
func (ks Keys) due(current Key, now time.Time, p Policy) bool {
	i := ks.standby(current.Use)
	if i < 0 || now.Before(ready(ks.list[i])) {
		return false
	}
	old := now.Sub(current.ActiveAt) >= p.Interval
	return old || (current.Use == Sign && current.Algorithm != p.Algorithm)
}

// promote makes the key that stands by follow the current one as soon as it is ready, and sets when the one before ends.
func (ks *Keys) promote(use Use, now time.Time, p Policy) {
	i := ks.standby(use)
	if i < 0 {
		return
	}
	start := ready(ks.list[i])
	if soon := now.Add(notice); start.Before(soon) {
		start = soon
	}
	ks.list[i].ActiveAt = start
	for j := range ks.list {
		k := &ks.list[j]
		if k.Use == use && j != i && !k.ActiveAt.IsZero() && k.EndsAt.IsZero() {
			k.ReplacedAt, k.EndsAt = start, start.Add(p.Lifetime[use]+endGrace)
		}
	}
}

// takeoverBegun says whether a key is appointed that has not become active yet.
func (ks Keys) takeoverBegun(use Use, now time.Time) bool {
	return slices.ContainsFunc(ks.list, func(k Key) bool { return k.Use == use && k.ActiveAt.After(now) })
}

// standby returns the index of the oldest key of a use that has never been active, or -1.
func (ks Keys) standby(use Use) int {
	return slices.IndexFunc(ks.list, func(k Key) bool { return k.Use == use && k.ActiveAt.IsZero() })
}

func (ks *Keys) dropStandby(use Use, drop func(Key) bool) {
	ks.list = slices.DeleteFunc(ks.list, func(k Key) bool { return k.Use == use && k.ActiveAt.IsZero() && drop(k) })
}

// keepStandby makes sure that a key stands by.
func (ks *Keys) keepStandby(use Use, now time.Time, p Policy) error {
	if ks.standby(use) >= 0 {
		return nil
	}
	k := newSealingKey(now)
	if use == Sign {
		var err error
		if k, err = newSigningKey(p.Algorithm, now); err != nil {
			return err
		}
	}
	ks.list = append(ks.list, k)
	return nil
}

// ready is when a key has been published for long enough to issue.
func ready(k Key) time.Time { return k.Created.Add(publishLead) }

func ended(k Key, now time.Time) bool { return !k.EndsAt.IsZero() && !now.Before(k.EndsAt) }
