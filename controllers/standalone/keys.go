package standalone

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/keystore"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// How often the files are read again: edits to the keys take effect within seconds.
const (
	keysInterval = 5 * time.Second
	caInterval   = time.Minute
)

// NewKeys returns the keeper of the keys in a state folder, and what syncs them again and again. Set, Policy and Now of keys are
// the caller's; the rest is filled in. Sync the keys once before the Periodic starts.
func NewKeys(dir string, log *slog.Logger, keys keystore.Keys) (*keystore.Keys, *Periodic) {
	keys.Entries = statedir.EntriesFile{Dir: dir, Name: statedir.KeysEntries}
	keys.Report = func(_ context.Context, problem error) { logProblem(log, "keys", problem) }
	return &keys, &Periodic{keysInterval, func(ctx context.Context) { _ = keys.Sync(ctx) }} // which reports its errors
}

// NewCA returns the keeper of the service's own CA in a state folder, and what syncs it again and again. Sync it
// once before the Periodic starts.
func NewCA(dir string, source *authority.Source, log *slog.Logger, now func() time.Time) (*keystore.CA, *Periodic) {
	ca := &keystore.CA{
		Entries: statedir.EntriesFile{Dir: dir, Name: statedir.CAEntries},
		Source:  source, Now: now,
		Publish: func(_ context.Context, bundle []byte) error { return statedir.PublishCertificates(dir, bundle) },
		Report:  func(_ context.Context, problem error) { logProblem(log, "CA", problem) },
	}
	return ca, &Periodic{caInterval, func(ctx context.Context) { _ = ca.Sync(ctx) }} // which reports its errors
}

// logProblem logs what is wrong with a file of the state folder, and when it is over.
func logProblem(log *slog.Logger, what string, problem error) {
	if problem == nil {
		log.Info("the state folder can be read and written again", "what", what)
		return
	}
	log.Error("cannot read or write the state folder; what was read before stays in force", "what", what, "error", problem)
}

// Periodic calls a function at an interval.
type Periodic struct {
	interval time.Duration
	call     func(context.Context)
}

// Start calls the function until the context ends, for the first time after one interval.
func (p *Periodic) Start(ctx context.Context) error {
	return every(ctx, p.interval, func() { p.call(ctx) })
}

// every calls a function at an interval until the context ends, for the first time after one interval.
func every(ctx context.Context, interval time.Duration, call func()) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			call()
		}
	}
}
