package keystore

import (
	"context"
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
	// Report takes what is wrong with the stored keys when that changes, nil when everything can be read and written again.
	Report func(ctx context.Context, problem error)

	problem problem
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
	if err != nil || next.Equal(keys) {
		return entries, err
	}
	return next.Encode()
}
