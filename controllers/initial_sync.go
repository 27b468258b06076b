package controllers

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// How InitialSync waits: it looks at the directory often, and lists anew ever less often, because what is deleted between a
// list and the start of a watch reaches nobody.
const (
	lookEvery    = 50 * time.Millisecond
	listFirst    = 500 * time.Millisecond
	listSeldom   = 10 * time.Second
	listPageSize = 500
)

// InitialSync marks the directory synced once it is at least as new as a consistent list of all objects. A synced informer
// would not do: its objects may not have been reconciled, and its list may come from an API server that lags, so that a
// revoked user would be alive again after a restart. InitialSync only compares. It never writes a user itself, because a
// second writer could put an older version over a newer one.
type InitialSync struct {
	reader     client.Reader // the API server, not the cache
	namespaces []string
	directory  *directory.Directory
	sources    []syncSource
}

// syncSource is one kind of object that the directory holds.
type syncSource struct {
	kind     schema.GroupVersionKind
	progress *progress
}

// NeedLeaderElection says that every replica waits for its own directory.
func (*InitialSync) NeedLeaderElection() bool { return false }

// Start returns when the directory is synced or the context ends. It returns no error: while the API server cannot be
// asked, the directory is not synced, and that is all.
func (s *InitialSync) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("initial-sync")
	for _, source := range s.sources {
		sourceCtx := log.IntoContext(ctx, logger.WithValues("kind", source.kind.Kind))
		for patience := listFirst; ctx.Err() == nil && !s.wait(sourceCtx, source, patience); {
			patience = min(2*patience, listSeldom)
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the process ends; nothing has failed
	}
	s.directory.MarkSynced()
	for _, source := range s.sources {
		source.progress.finish()
	}
	logger.Info("the directory is synced", "users", s.directory.Len())
	return nil
}

// wait lists once and says whether the directory became as new as the list within the time given after it.
func (s *InitialSync) wait(ctx context.Context, source syncSource, patience time.Duration) bool {
	want, err := s.list(ctx, source.kind)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err != nil {
		log.FromContext(ctx).Error(err, "the directory cannot be compared with the API server")
		<-ctx.Done() // an API server that refuses at once is not asked at once again
		return false
	}
	var behind types.NamespacedName
	err = wait.PollUntilContextCancel(ctx, lookEvery, true, func(context.Context) (bool, error) {
		key, waiting := source.progress.behind(want)
		behind = key
		return !waiting, nil
	})
	if err != nil {
		log.FromContext(ctx).Info("the directory is not complete yet", "waitingFor", behind.String())
	}
	return err == nil
}

// list reads names and versions. Without a resourceVersion in the request the answer is consistent: it holds everything that
// was written before the request.
func (s *InitialSync) list(ctx context.Context, kind schema.GroupVersionKind) (listing, error) {
	out := listing{objects: map[types.NamespacedName]string{}, versions: map[string]string{}}
	for _, ns := range s.namespaces {
		page := &metav1.PartialObjectMetadataList{}
		page.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		for first := true; first || page.Continue != ""; first = false {
			opts := []client.ListOption{client.InNamespace(ns), client.Limit(listPageSize), client.Continue(page.Continue)}
			if err := s.reader.List(ctx, page, opts...); err != nil {
				return listing{}, fmt.Errorf("list %s in %s: %w", kind.Kind, ns, err)
			}
			out.versions[ns] = page.ResourceVersion
			for i := range page.Items {
				out.objects[client.ObjectKeyFromObject(&page.Items[i])] = page.Items[i].ResourceVersion
			}
		}
	}
	return out, nil
}
