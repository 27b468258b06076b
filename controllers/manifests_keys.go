package controllers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/state"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

const (
	// keysEvery and authorityEvery are how often the files are looked at.
	keysEvery      = 5 * time.Second
	authorityEvery = time.Minute
)

// StateKeys keep the KeySet equal to the keys in a state folder, and those as the policy wants them: made at first start,
// rotated by age or on request. Whoever edits the file is heard within seconds.
type StateKeys struct {
	Dir    string
	Keys   *token.KeySet
	Policy token.Policy
	Log    *slog.Logger
	Now    func() time.Time

	complaints
}

// Look reads the keys, writes what is due, and puts in force what is on the disk then. When that cannot be written, what is there
// is used; it is an error only if no key of it can issue.
func (k *StateKeys) Look() error {
	now := k.Now()
	entries, unwritten := state.UpdateEntries(k.Dir, state.KeysEntries, func(entries map[string][]byte) (map[string][]byte, error) {
		return k.next(entries, now)
	})
	if unwritten != nil {
		entries, _ = state.ReadEntries(k.Dir, state.KeysEntries) // unwritten tells why they cannot be read
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
func (k *StateKeys) next(entries map[string][]byte, now time.Time) (map[string][]byte, error) {
	keys, _ := token.ParseKeys(entries) // Look complains about entries that cannot be read; they are kept
	next, err := keys.Advance(now, k.Policy)
	if err != nil || next.Equal(keys) {
		return entries, err
	}
	return next.Encode()
}

// Start looks at the keys until the context ends.
func (k *StateKeys) Start(ctx context.Context) error {
	return every(ctx, keysEvery, func() { _ = k.Look() }) // which has complained
}

// NeedLeaderElection says that this runs wherever the service runs.
func (k *StateKeys) NeedLeaderElection() bool { return false }

// StateAuthority keeps the service's own CA in a state folder, renews it in time, and publishes its certificates there.
type StateAuthority struct {
	Dir    string
	Source *authority.Source
	Log    *slog.Logger
	Now    func() time.Time

	complaints
}

// Look reads the CA, makes it or the next one when that is due, puts it in force and publishes its certificates.
func (a *StateAuthority) Look() error {
	entries, err := state.UpdateEntries(a.Dir, state.CAEntries, a.next)
	if err != nil {
		return err
	}
	ca, err := authority.Parse(entries)
	if err != nil {
		return fmt.Errorf("read the CA in the state folder: %w", err)
	}
	if err := a.Source.Use(ca); err != nil {
		return err
	}
	return state.PublishCertificates(a.Dir, ca.Bundle())
}

func (a *StateAuthority) next(entries map[string][]byte) (map[string][]byte, error) {
	var ca authority.Authority
	if len(entries) > 0 {
		var err error
		if ca, err = authority.Parse(entries); err != nil {
			return nil, fmt.Errorf("read the CA: %w: restore it from a backup, or remove ca.json to have a new one made", err)
		}
	}
	next, err := ca.Advance(a.Now())
	if err != nil || next.Equal(ca) {
		return entries, err
	}
	return next.Encode()
}

// Start looks at the CA until the context ends. What goes wrong is logged, and the CA before it stays in force.
func (a *StateAuthority) Start(ctx context.Context) error {
	return every(ctx, authorityEvery, func() { a.complain(a.Log, "the CA in the state folder", a.Look()) })
}

// NeedLeaderElection says that this runs wherever the service runs.
func (a *StateAuthority) NeedLeaderElection() bool { return false }

// every calls f at an interval until the context ends.
func every(ctx context.Context, interval time.Duration, f func()) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f()
		}
	}
}

// complaints logs an error once for as long as it stays the same.
type complaints struct{ last string }

func (c *complaints) complain(log *slog.Logger, about string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == c.last {
		return
	}
	c.last = text
	if err == nil {
		log.Info(about + " can be read and written again")
		return
	}
	log.Error(about+" cannot be read or written", "error", err)
}
