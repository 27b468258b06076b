package keystore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

// ErrUnreadableCA reports that the stored entries are not a CA with its key. They are left alone.
var ErrUnreadableCA = errors.New("the stored CA cannot be read")

// CA keeps the server certificate of this process made from the stored CA, and the CA itself alive: made at first start, and
// followed by the next one long before it ends.
type CA struct {
	Entries Entries
	Source  *authority.Source
	Now     func() time.Time
	// Publish shows clients the certificates to trust, as PEM. It is called by every Sync that finds a CA.
	Publish func(ctx context.Context, bundle []byte) error
	// Report takes what is wrong with the stored CA when that changes, nil when it can be used again.
	Report func(ctx context.Context, problem error)

	problem problem
}

// Sync stores what is due, puts the stored CA in force and publishes its certificates. On an error the CA before it stays in
// force. The error wraps ErrUnreadableCA when the entries must be repaired or removed by hand. Sync is not safe for concurrent
// use.
func (c *CA) Sync(ctx context.Context) error {
	err := c.sync(ctx)
	if c.problem.changed(err) {
		c.Report(ctx, err)
	}
	return err
}

func (c *CA) sync(ctx context.Context) error {
	entries, err := c.Entries.Update(ctx, c.next)
	if err != nil || len(entries) == 0 {
		return err // without entries another replica is storing the first CA
	}
	ca, err := authority.Parse(entries)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadableCA, err)
	}
	if err := c.Source.Use(ca); err != nil {
		return err
	}
	return c.Publish(ctx, ca.Bundle())
}

// next returns the entries as they should be. Entries that are not the CA's stay.
func (c *CA) next(entries map[string][]byte) (map[string][]byte, error) {
	var ca authority.Authority
	if len(entries) > 0 {
		var err error
		if ca, err = authority.Parse(entries); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreadableCA, err)
		}
	}
	next, err := ca.Advance(c.Source.Names(), c.Now())
	if err != nil || (len(entries) > 0 && next.Equal(ca)) {
		return entries, err
	}
	encoded, err := next.Encode()
	if err != nil {
		return nil, err
	}
	if entries == nil {
		return encoded, nil
	}
	maps.Copy(entries, encoded)
	return entries, nil
}
