package keystore

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Keys keeps a KeySet equal to the stored keys, and those as the policy wants them: made at first start, rotated by age or on
// request, and replaced at once when the current key is gone.
//
// Only what is stored is ever put in force, and only when it has a key to issue with: until then the keys before it stay.
type Keys struct {
	Entries Entries
	Set     *token.KeySet
	Policy  token.Policy
	Now     func() time.Time
	// UseDecoySecret takes the stored secret that makes the decoys of all replicas alike; nil: no one does. It is called by
	// every Sync that finds one.
	UseDecoySecret func(secret []byte)
	// Report takes what is wrong with the stored keys when that changes, nil when everything can be read and written again.
	Report func(ctx context.Context, problem error)

	problem     problem
	decoysInUse bool
}

// Sync puts the stored keys in force and stores what is due. It returns an error when that could not be stored; the keys that can
// be read are in force all the same. Entries that are not keys stay as they are and are reported. Sync is not safe for
// concurrent use.
func (k *Keys) Sync(ctx context.Context) error {
	now := k.Now()
	entries, unwritten := k.Entries.Update(ctx, func(entries map[string][]byte) (map[string][]byte, error) {
		return k.next(entries, now)
	})
	if unwritten != nil {
		entries, _ = k.Entries.Read(ctx) // unwritten says why that fails, if it does
	}
	k.useDecoySecret(entries, unwritten)
	keys, unreadable := token.ParseKeys(entries)
	if keys.CanIssue(now) {
		k.Set.Use(keys)
	}
	if problem := errors.Join(unwritten, unreadable); k.problem.changed(problem) {
		k.Report(ctx, problem)
	}
	return unwritten
}

// Ready returns an error that says why no key can issue tokens, or nil.
func (k *Keys) Ready() error {
	if k.Set.Ready(k.Now()) {
		return nil
	}
	return errors.Join(errors.New("there is no key to issue tokens with"), k.problem.last)
}

// next returns the entries as they should be.
func (k *Keys) next(entries map[string][]byte, now time.Time) (map[string][]byte, error) {
	keys, _ := token.ParseKeys(entries) // Sync reports entries that cannot be read; they are kept
	next, err := keys.Advance(now, k.Policy)
	if err != nil {
		return entries, err
	}
	if !next.Equal(keys) {
		if entries, err = next.Encode(); err != nil {
			return nil, err
		}
	}
	return withDecoySecret(entries), nil
}

// decoySecretSize is the length of a decoy secret in bytes. A shorter one is replaced.
const decoySecretSize = 32

// useDecoySecret passes on the stored secret. When none can be stored, logins must work all the same,
// so it passes on one of this process until one is stored.
func (k *Keys) useDecoySecret(entries map[string][]byte, unwritten error) {
	secret := entries[token.DecoySecret]
	if len(secret) < decoySecretSize && unwritten != nil && len(entries) > 0 && !k.decoysInUse {
		secret = newDecoySecret()
	}
	if len(secret) < decoySecretSize || k.UseDecoySecret == nil {
		return
	}
	k.decoysInUse = true
	k.UseDecoySecret(secret)
}

func newDecoySecret() []byte {
	secret := make([]byte, decoySecretSize)
	_, _ = rand.Read(secret) // never fails, by its own contract
	return secret
}

// withDecoySecret adds the decoy secret to entries that have none. It lives beside the keys, because
// whatever reads those may know it, but it is no key: a rotation leaves it alone, and losing it does
// no more than let some unknown logins be told from known ones by those who have watched both before.
func withDecoySecret(entries map[string][]byte) map[string][]byte {
	if len(entries[token.DecoySecret]) >= decoySecretSize {
		return entries
	}
	entries[token.DecoySecret] = newDecoySecret()
	return entries
}
