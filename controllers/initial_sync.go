package controllers

import (
	"context"
	"runtime/debug"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// How InitialSync waits: it looks at the directory often, and lists anew when nothing has reached the directory for a while,
// or not all of it for long, because what is deleted between a list and the start of a watch reaches nobody.
const (
	lookEvery  = 50 * time.Millisecond
	listFirst  = 500 * time.Millisecond
	listSeldom = 10 * time.Second
)

// InitialSync marks the directory synced once it is at least as new as the API server was when the process started. A synced
// informer would not do: its objects may not have been reconciled, and its list may come from an API server that lags, so that
// a revoked user would be alive again after a restart. InitialSync only compares. It never writes a user itself, because a
// second writer could put an older version over a newer one.
type InitialSync struct {
	directory *directory.Directory
	sources   []syncSource
}

// syncSource is one kind of object that the directory holds.
type syncSource struct {
	kind     string
	progress *informer.Observed
	// filled returns when the cache has been filled; a list before that would come too early.
	awaitFilled func(context.Context)
	// list says what the API server holds, or held at some time after the process started.
	list func(context.Context) (informer.Listing, error)
}

// NeedLeaderElection says that every replica waits for its own directory.
func (*InitialSync) NeedLeaderElection() bool { return false }

// Start returns when the directory is synced or the context ends. It returns no error: while the API server cannot be
// asked, the directory is not synced, and that is all.
func (s *InitialSync) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("initial-sync")
	for _, source := range s.sources {
		source.awaitFilled(ctx)
	}
	for _, source := range s.sources {
		sourceCtx := log.IntoContext(ctx, logger.WithValues("kind", source.kind))
		for patience := listFirst; ctx.Err() == nil && !source.wait(sourceCtx, patience); {
			patience = min(2*patience, listSeldom)
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the process ends; nothing has failed
	}
	for _, source := range s.sources {
		source.progress.Finish()
	}
	debug.FreeOSMemory() // filling the directory has left as much garbage behind as all that is kept
	s.directory.MarkSynced()
	logger.Info("the directory is synced", "users", s.directory.Len())
	return nil
}

// wait lists once and says whether the directory became as new as the list. It gives up when nothing has reached the directory
// for as long as it is told to be patient, and after listSeldom in any case.
func (s syncSource) wait(ctx context.Context, patience time.Duration) bool {
	want, err := s.list(ctx)
	if err != nil {
		log.FromContext(ctx).Error(err, "the directory cannot be compared with the API server")
		informer.Sleep(ctx, patience) // an API server that refuses at once is not asked at once again
		return false
	}
	listed := time.Now()
	seen, moved := s.progress.Count(), listed
	for {
		behind, waiting := s.progress.Behind(want)
		if !waiting {
			return true
		}
		if n := s.progress.Count(); n != seen {
			seen, moved = n, time.Now()
		}
		if time.Since(moved) > patience || time.Since(listed) > listSeldom || !informer.Sleep(ctx, lookEvery) {
			log.FromContext(ctx).Info("the directory is not complete yet", "waitingFor", behind.String())
			return false
		}
	}
}
