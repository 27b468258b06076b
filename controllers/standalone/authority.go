package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// Authority keeps the service's own CA in a state folder, renews it in time, and publishes its certificates there.
type Authority struct {
	Dir    string
	Source *authority.Source
	Log    *slog.Logger
	Now    func() time.Time

	complaints
}

// Look reads the CA, makes it or the next one when that is due, puts it in force and publishes its certificates.
func (a *Authority) Look() error {
	entries, err := statedir.UpdateEntries(a.Dir, statedir.CAEntries, a.next)
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
	return statedir.PublishCertificates(a.Dir, ca.Bundle())
}

func (a *Authority) next(entries map[string][]byte) (map[string][]byte, error) {
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
func (a *Authority) Start(ctx context.Context) error {
	return every(ctx, authorityEvery, func() { a.complain(a.Log, "the CA in the state folder", a.Look()) })
}

// NeedLeaderElection says that this runs wherever the service runs.
func (a *Authority) NeedLeaderElection() bool { return false }

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
