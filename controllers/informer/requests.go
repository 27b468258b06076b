package informer

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// If the API server refuses to list or watch, a follower asks again after leastRefusedPause at first, and
// later after a quarter of the time that it has been refused, up to mostRefusedPause. To that it adds
// up to as much again at random.
const (
	leastRefusedPause = time.Second
	mostRefusedPause  = 15 * time.Second
)

// requests are the lists and watches that a Reflector asks for.
type requests struct {
	*toolscache.ListWatch
	whole bool
}

// requests returns the requests of a follower.
func (f *follower) requests() requests {
	asked := &toolscache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}
	return requests{retrying(asked), f.whole}
}

// IsWatchListSemanticsUnSupported reports whether the Reflector must list the objects, instead of a
// watch that begins with all of them. The API server makes the latter from the objects of all namespaces
// (Kubernetes 1.37), each time, so that with 1,000 namespaces it would read everything 1,000 times. A
// list comes in pages, and from an index.
func (r requests) IsWatchListSemanticsUnSupported() bool { return !r.whole }

// request returns a request for the objects. A kind with a decoder of its own reads only JSON,
// whatever content type client-go prefers.
func (f *follower) request(opts *metav1.ListOptions) *rest.Request {
	r := f.client.Get().Namespace(f.namespace).Resource(f.resource).VersionedParams(opts, f.params)
	if f.decode != nil {
		r.SetHeader("Accept", runtime.ContentTypeJSON)
	}
	return r
}

// list lists objects, in pages if client-go asks for pages.
func (f *follower) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	f.await(ctx)
	opts.FieldSelector = f.selector
	if opts.ResourceVersion == "0" { // client-go's choice for a first list, which may be of any age
		opts.ResourceVersion = ""
	}
	return untilPermitted(ctx, f, func(ctx context.Context) (runtime.Object, error) {
		out, err := f.listPage(ctx, &opts)
		if err != nil {
			return nil, err
		}
		page, err := meta.ListAccessor(out)
		if err == nil && opts.ResourceVersion == "" && opts.Continue == "" && !f.synced() {
			f.startAt(page.GetResourceVersion()) // such a list has everything that was written before the request
		}
		return out, err
	})
}

func (f *follower) listPage(ctx context.Context, opts *metav1.ListOptions) (runtime.Object, error) {
	if f.decode == nil {
		out := f.newList()
		return out, f.request(opts).Do(ctx).Into(out)
	}
	body, err := f.request(opts).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // nothing was written that could be lost
	return decodeList(body, f.decode)
}

// watch watches the objects.
func (f *follower) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	f.await(ctx)
	opts.FieldSelector, opts.Watch = f.selector, true
	return untilPermitted(ctx, f, func(ctx context.Context) (watch.Interface, error) {
		if opts.SendInitialEvents != nil { // the watch begins with all objects
			if err := f.learnServerVersion(ctx); err != nil {
				return nil, err
			}
		}
		if f.decode == nil {
			return f.request(&opts).Watch(ctx)
		}
		body, err := f.request(&opts).Stream(ctx)
		if err != nil {
			return nil, err
		}
		reporter := apierrors.NewClientErrorReporter(http.StatusInternalServerError, http.MethodGet, "ClientWatchDecoding")
		return watch.NewStreamWatcherWithLogger(log.FromContext(ctx), newWatchDecoder(body, f.decode), reporter), nil
	})
}

// untilPermitted calls ask until the API server does not refuse it, and keeps the state of f.
func untilPermitted[T any](ctx context.Context, f *follower, ask func(context.Context) (T, error)) (T, error) {
	ctx = context.WithValue(ctx, heardKey{}, f.heard)
	for {
		answer, err := ask(ctx)
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
	raw, err := f.client.Get().Namespace(f.namespace).Resource(f.resource).VersionedParams(&metav1.ListOptions{Limit: 1, FieldSelector: f.selector}, f.params).
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
