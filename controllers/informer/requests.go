package informer

import (
	"context"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// If the API server refuses to list or watch, a follower asks again after leastRefusedPause at first, and
// later after a quarter of the time that it has been refused, up to mostRefusedPause. To that it adds
// up to as much again at random.
const (
	leastRefusedPause = time.Second
	mostRefusedPause  = 15 * time.Second
)

const (
	// listsAtOnce is how many lists are read at once. More are no quicker, and each takes memory.
	listsAtOnce = 64
	// longestTurn is after which time a list no longer waits for others.
	longestTurn = 5 * time.Second
)

// request returns a request for the objects.
func (f *follower) request(opts *metav1.ListOptions) *rest.Request {
	opts.FieldSelector = f.selector
	return f.client.Get().Namespace(f.namespace).Resource(f.resource).VersionedParams(opts, f.params).
		SetHeader("Accept", runtime.ContentTypeJSON) // whatever client-go prefers
}

// list returns a page of a list.
func (f *follower) list(ctx context.Context, opts metav1.ListOptions) (page, error) {
	f.await(ctx)
	return untilPermitted(ctx, f, func(ctx context.Context) (page, error) {
		defer f.lists.begin(ctx)()
		body, err := f.request(&opts).Stream(ctx)
		if err != nil {
			return page{}, err
		}
		defer func() { _ = body.Close() }() // nothing was written that could be lost
		p, err := decodePage(body, f.decode)
		if err == nil && opts.Continue == "" && !f.synced() {
			f.startAt(p.ResourceVersion) // without a version, a list has everything that was written before the request
		}
		return p, err
	})
}

// turns lets as many take their turn at once as its capacity is. If it is nil, it lets all.
type turns chan struct{}

// begin waits for a turn, but no longer than longestTurn, so that no one waits for those who hang. It returns
// a function that ends the turn.
func (t turns) begin(ctx context.Context) (end func()) {
	if t == nil {
		return func() {}
	}
	patience := time.NewTimer(longestTurn)
	defer patience.Stop()
	select {
	case t <- struct{}{}:
		return func() { <-t }
	case <-patience.C:
	case <-ctx.Done():
	}
	return func() {}
}

// watch returns a new watch.
func (f *follower) watch(ctx context.Context, opts metav1.ListOptions) (*events, error) {
	f.await(ctx)
	opts.Watch, opts.AllowWatchBookmarks, opts.TimeoutSeconds = true, true, watchTimeout()
	return untilPermitted(ctx, f, func(ctx context.Context) (*events, error) {
		if opts.SendInitialEvents != nil { // the watch begins with all objects
			if err := f.learnServerVersion(ctx); err != nil {
				return nil, err
			}
		}
		body, err := f.request(&opts).Stream(ctx)
		if err != nil {
			return nil, err
		}
		return newEvents(body, f.decode), nil
	})
}

// watchTimeout returns how long a watch may last, in seconds.
func watchTimeout() *int64 {
	return new(int64((minWatchTimeout + rand.N(minWatchTimeout)).Seconds())) //nolint:gosec // spreads requests; not for security
}

// untilPermitted calls ask until the API server responds and does not refuse it, and keeps the state of f.
func untilPermitted[T any](ctx context.Context, f *follower, ask func(context.Context) (T, error)) (T, error) {
	ctx = context.WithValue(ctx, heardKey{}, f.heard)
	for {
		answer, err := retryUntilAnswered(ctx, func() (T, error) { return ask(ctx) })
		f.note(ctx, err)
		if !refused(err) {
			return answer, err
		}
		pause := min(max(time.Since(f.snapshot().RefusedSince)/4, leastRefusedPause), mostRefusedPause)
		if !Sleep(ctx, pause+rand.N(pause)) { //nolint:gosec // spreads retries; not for security
			return answer, err
		}
	}
}

// refused reports whether the API server refuses to let the service read a namespace: its rights are
// gone, or the kind is.
func refused(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }

// note keeps what the API server has answered.
func (f *follower) note(ctx context.Context, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		if !f.state.RefusedSince.IsZero() {
			log.FromContext(ctx).Info("a namespace can be read again", "namespace", f.namespace, "kind", f.name)
		}
		f.state.LastSuccess, f.state.RefusedSince, f.state.Refusal = now, time.Time{}, nil
	case refused(err):
		if f.state.RefusedSince.IsZero() {
			log.FromContext(ctx).Info("cannot read a namespace; will retry", "namespace", f.namespace, "kind", f.name, "error", err.Error())
			f.state.RefusedSince = now
		}
		f.state.LastRefused, f.state.Refusal = now, err
	}
}

// heard records a sign of life of this kind in this namespace.
func (f *follower) heard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.LastHeard = time.Now()
}

func (f *follower) snapshot() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Synced = f.synced()
	return s
}

// learnServerVersion gets the current resourceVersion from the API server before the first watch that
// begins with all objects. Each attempt sends a new request, so that the version is not older than necessary. The
// request is a list of one object without a resourceVersion, which makes the response consistent.
func (f *follower) learnServerVersion(ctx context.Context) error {
	if f.synced() {
		return nil
	}
	first := &metav1.PartialObjectMetadataList{}
	raw, err := f.request(&metav1.ListOptions{Limit: 1}).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(ctx).Raw()
	if err != nil {
		return err
	}
	if err := decodeMetadata(raw, first); err != nil {
		return err
	}
	f.startAt(first.ResourceVersion)
	return nil
}

func (f *follower) startAt(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.versionAtStart = version
}
