package token

import (
	"slices"
	"time"
)

// JWKSMaxAge is how long verifiers may cache the published keys. The clients of Keycloak and Auth0
// refetch after 5 to 10 minutes. A shorter time has no benefit, because the next key is published
// long before it signs.
const JWKSMaxAge = 5 * time.Minute

// publishLead is how long a signing key is published before it signs. By then every cache of the
// keys has been renewed, even one that was filled by a replica that learned of the key minutes
// late.
const publishLead = 4 * JWKSMaxAge

// endGrace is added to the time for which a replaced key still verifies, for replicas that learn
// late of its successor and for clocks that differ.
const endGrace = 10 * time.Minute

// notice is how long before a takeover the keys announce it, so that every replica knows of it in
// time. It is also how far the first key is backdated, so that a replica whose clock is behind can
// issue too.
const notice = time.Minute

// Policy describes how keys rotate.
type Policy struct {
	Algorithm string        // of signing keys: ES256, EdDSA or RS256
	Interval  time.Duration // how long a key issues before its successor takes over
	// Lifetime is the longest lifetime of the tokens of each use. A key still verifies for that
	// long after its successor has taken over.
	Lifetime map[Use]time.Duration
}

// Advance returns the keys as they should be at now. It removes keys that have ended and makes sure
// that each use has a key that issues and one that stands by. When the current key is old enough or
// a rotation was requested, the key that stands by follows it as soon as it has been published for
// long enough. Advance returns the same keys when nothing is due. Every replica may call it; the
// first to store the result wins. The first key issues at once, because there is nothing to verify
// yet. If someone has removed the current key, the key that stands by also issues at once:
// verifiers that cache the JWKS know it already.
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

// begin makes a key issue at once: the announced successor, else the key that stands by, else a new
// one.
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

// due reports whether to replace the current key now: it is old or has another algorithm than the
// policy, and its successor has been published for long enough.
func (ks Keys) due(current Key, now time.Time, p Policy) bool {
	i := ks.standby(current.Use)
	if i < 0 || now.Before(ready(ks.list[i])) {
		return false
	}
	old := now.Sub(current.ActiveAt) >= p.Interval
	return old || (current.Use == Sign && current.Algorithm != p.Algorithm)
}

// promote announces the key that stands by as the successor, from when it is ready, and sets the
// end of its predecessors.
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

// takeoverBegun reports whether a successor is announced that is not active yet.
func (ks Keys) takeoverBegun(use Use, now time.Time) bool {
	return slices.ContainsFunc(ks.list, func(k Key) bool { return k.Use == use && k.ActiveAt.After(now) })
}

// standby returns the index of the oldest key of a use that has never been active, or -1.
func (ks Keys) standby(use Use) int {
	return slices.IndexFunc(ks.list, func(k Key) bool { return k.Use == use && k.ActiveAt.IsZero() })
}

// dropStandby removes the keys of a use that stand by and for which drop reports true.
func (ks *Keys) dropStandby(use Use, drop func(Key) bool) {
	ks.list = slices.DeleteFunc(ks.list, func(k Key) bool { return k.Use == use && k.ActiveAt.IsZero() && drop(k) })
}

// keepStandby adds a key that stands by if a use has none.
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

// ready returns the time from which a key has been published for long enough to issue.
func ready(k Key) time.Time { return k.Created.Add(publishLead) }

// ended reports whether a key does not verify any more.
func ended(k Key, now time.Time) bool { return !k.EndsAt.IsZero() && !now.Before(k.EndsAt) }
