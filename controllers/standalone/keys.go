package standalone

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/statedir"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

const (
	// keysEvery and authorityEvery are how often the files are looked at.
	keysEvery      = 5 * time.Second
	authorityEvery = time.Minute
)

// Keys keep the KeySet equal to the keys in a state folder, and those as the policy wants them: made at first start,
// rotated by age or on request. Whoever edits the file is heard within seconds.
type Keys struct {
	Dir    string
	Keys   *token.KeySet
	Policy token.Policy
	Log    *slog.Logger
	Now    func() time.Time

	complaints
}

// Look reads the keys, writes what is due, and puts in force what is on the disk then. When that cannot be written, what is there
// is used; it is an error only if no key of it can issue.
func (k *Keys) Look() error {
	now := k.Now()
	entries, unwritten := statedir.UpdateEntries(k.Dir, statedir.KeysEntries, func(entries map[string][]byte) (map[string][]byte, error) {
		return k.next(entries, now)
	})
	if unwritten != nil {
		entries, _ = statedir.ReadEntries(k.Dir, statedir.KeysEntries) // unwritten tells why they cannot be read
	}
	keys, unread := token.ParseKeys(entries)
	if keys.CanIssue(now) {
		k.Keys.Use(keys)
	}
	problem := errors.Join(unwritten, unread)
	k.complain(k.Log, "the keys in the state folder", problem)
	if !k.Keys.Ready(now) {
		return errors.Join(errors.New("there is no key to issue tokens with"), problem)
	}
	return nil
}

// next returns the entries as they should be.
func (k *Keys) next(entries map[string][]byte, now time.Time) (map[string][]byte, error) {
	keys, _ := token.ParseKeys(entries) // Look complains about entries that cannot be read; they are kept
	next, err := keys.Advance(now, k.Policy)
	if err != nil || next.Equal(keys) {
		return entries, err
	}
	return next.Encode()
}

// Start looks at the keys until the context ends.
func (k *Keys) Start(ctx context.Context) error {
	return every(ctx, keysEvery, func() { _ = k.Look() }) // which has complained
}

// NeedLeaderElection says that this runs wherever the service runs.
func (k *Keys) NeedLeaderElection() bool { return false }
