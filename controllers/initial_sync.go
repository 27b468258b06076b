package controllers

import (
	"context"
	"runtime/debug"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// InitialSync compares the directory with the last list every compareInterval. It makes a new list
// if nothing has reached the directory for its current patience, which starts at firstPatience and
// doubles up to maximumPatience, or if the directory is still incomplete after maximumPatience. A
// new list is necessary because no event reports an object that is deleted between a list and the
// start of a watch.
const (
	compareInterval = 50 * time.Millisecond
	firstPatience   = 500 * time.Millisecond
	maximumPatience = 10 * time.Second
)

// InitialSync marks the directory as synced once it is at least as new as the API server was when
// the process started. A synced informer is not enough: its objects may not have been reconciled
// yet, and its list may come from an API server that lags behind, so that a revoked user would be
// valid again after a restart. InitialSync only compares. It never writes a user itself, because a
// second writer could replace a newer version with an older one.
type InitialSync struct {
	directory *directory.Directory
	sources   []syncSource
}

// syncSource is one kind of object in the directory.
type syncSource struct {
	kind     string
	observed *informer.Observed
	// awaitFilled returns when the cache has been filled; a list before that would be too early.
	awaitFilled func(context.Context)
	// list returns what the API server holds, or held at some time after the process started.
	list func(context.Context) (informer.Listing, error)
}

// NeedLeaderElection returns false, because every replica waits for its own directory.
func (*InitialSync) NeedLeaderElection() bool { return false }

// Start returns when the directory is synced or the context ends. It never returns an error: while
// the API server cannot be reached, the directory is not synced.
func (s *InitialSync) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("initial-sync")
	for _, source := range s.sources {
		source.awaitFilled(ctx)
	}
	for _, source := range s.sources {
		sourceCtx := log.IntoContext(ctx, logger.WithValues("kind", source.kind))
		for patience := firstPatience; ctx.Err() == nil && !source.catchUp(sourceCtx, patience); {
			patience = min(2*patience, maximumPatience)
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the process is ending; nothing has failed
	}
	for _, source := range s.sources {
		source.observed.Finish()
	}
	debug.FreeOSMemory() // filling the directory leaves as much garbage as data
	s.directory.MarkSynced()
	logger.Info("directory synced", "users", s.directory.Len())
	return nil
}

// catchUp lists once and reports whether the directory became at least as new as the list. It gives
// up if nothing has reached the directory for patience, and after maximumPatience in any case.
func (s syncSource) catchUp(ctx context.Context, patience time.Duration) bool {
	want, err := s.list(ctx)
	if err != nil {
		log.FromContext(ctx).Error(err, "could not list objects to compare with the directory; will retry")
		informer.Sleep(ctx, patience) // do not retry at once if the API server fails at once
		return false
	}
	listed := time.Now()
	count, lastChange := s.observed.Count(), listed
	for {
		behind, waiting := s.observed.Behind(want)
		if !waiting {
			return true
		}
		if n := s.observed.Count(); n != count {
			count, lastChange = n, time.Now()
		}
		if time.Since(lastChange) > patience || time.Since(listed) > maximumPatience || !informer.Sleep(ctx, compareInterval) {
			log.FromContext(ctx).Info("directory incomplete; will list again", "waitingFor", behind.String())
			return false
		}
	}
}
