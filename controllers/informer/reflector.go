package informer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// listLimit is the number of objects in a page of a list.
	listLimit = 500
	// minWatchTimeout is how long a watch lasts at least, and half of what it lasts at most. The API server ends
	// it then, so that a watch on which nothing can arrive any more does not last for ever.
	minWatchTimeout = 5 * time.Minute
	// minUsefulWatch is how long a watch without events must last, or something is wrong with it.
	minUsefulWatch = time.Second
)

// failures returns a function that returns how long to wait after each failure in a row. Two minutes without a
// failure begin a new row.
func failures() wait.DelayFunc {
	const doubled = 5 // times, to about half a minute
	return wait.Backoff{Duration: 800 * time.Millisecond, Factor: 2, Jitter: 1, Steps: doubled + 1, Cap: 30 * time.Second}.
		DelayWithReset(clock.RealClock{}, 2*time.Minute)
}

// run keeps the cache as new as the API server until the context ends.
//
// It does what client-go's Reflector does, in one goroutine instead of three: their stacks are most of what
// each of 1,000 namespaces takes. For the same reason it waits for an event before it calls what reads it,
// which needs twice the stack.
func (f *follower) run(ctx context.Context) {
	for begin := beginning(f.fill); ctx.Err() == nil; {
		e, err := begin(ctx)
		for err == nil {
			e.wait()
			err = f.apply(e)
		}
		begin = f.after(ctx, begin, e, err)
	}
}

// fill replaces what is in the cache by what the API server has, and returns a watch that goes on from there.
func (f *follower) fill(ctx context.Context) (*events, error) {
	if f.whole {
		e, err := f.watchAll(ctx)
		if err == nil || !apierrors.IsInvalid(err) {
			return e, err
		}
		f.log(ctx).Info("the API server has no watches that begin with all objects; will list them", "error", err.Error())
		f.whole = false
	}
	objects, version, err := f.listAll(ctx)
	if err != nil {
		return nil, err
	}
	f.replace(objects, version)
	return f.resume(ctx)
}

// beginning is a function that returns a watch.
type beginning func(context.Context) (*events, error)

// after ends the watch that begin has returned, unless that has failed, and returns how to go on after the
// error that has ended it: usually by resuming it, because the API server ends each watch after some minutes.
// It waits unless everything was in order.
func (f *follower) after(ctx context.Context, begin beginning, e *events, err error) beginning {
	if e != nil {
		e.close()
		begin = f.resume
	}
	switch ended := errors.Is(err, io.EOF); {
	case ctx.Err() != nil, ended && e != nil && e.useful():
		return begin
	case ended || passes(err):
		f.log(ctx).V(1).Info("a watch has ended; will go on", "error", err.Error())
	case !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err):
		f.log(ctx).Error(err, "cannot follow the objects; will read all of them again")
		begin = f.fill
	default:
		begin = f.fill
	}
	Sleep(ctx, f.failure())
	return begin
}

// passes reports whether the API server may answer the same request after some time.
func passes(err error) bool {
	return apierrors.IsTooManyRequests(err) || apierrors.IsInternalError(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err)
}

func (f *follower) log(ctx context.Context) logr.Logger {
	return log.FromContext(ctx).WithValues("namespace", f.namespace, "kind", f.name)
}

// listAll returns all objects and the resourceVersion of the list.
func (f *follower) listAll(ctx context.Context) (objects []client.Object, version string, err error) {
	opts := metav1.ListOptions{Limit: listLimit}
	for {
		page, err := f.list(ctx, opts)
		switch {
		case apierrors.IsResourceExpired(err) && opts.Continue != "": // the pages took too long
			opts, objects = metav1.ListOptions{}, nil
			continue
		case err != nil:
			return nil, "", fmt.Errorf("list %s: %w", f.resource, err)
		}
		objects = append(objects, page.objects...)
		if page.Continue == "" {
			return objects, page.ResourceVersion, nil
		}
		opts.Continue = page.Continue
	}
}

// watchAll fills the cache with the objects with which a new watch begins, and returns the watch.
func (f *follower) watchAll(ctx context.Context) (*events, error) {
	e, err := f.watch(ctx, metav1.ListOptions{
		SendInitialEvents: new(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		return nil, err
	}
	objects, version, err := e.initial()
	if err != nil {
		e.close()
		return nil, fmt.Errorf("watch %s: %w", f.resource, err)
	}
	f.replace(objects, version)
	return e, nil
}

// resume returns a watch that goes on from what is in the cache.
func (f *follower) resume(ctx context.Context) (*events, error) {
	f.mu.Lock()
	version := f.version
	f.mu.Unlock()
	return f.watch(ctx, metav1.ListOptions{ResourceVersion: version})
}

// apply applies the next event of a watch to the cache.
func (f *follower) apply(e *events) error {
	kind, o, err := e.next()
	switch {
	case err != nil:
		return fmt.Errorf("watch %s: %w", f.resource, err)
	case kind == watch.Deleted:
		f.delete(o)
	case kind == watch.Bookmark:
		f.reached(o.GetResourceVersion())
	default:
		f.put(o)
	}
	return nil
}
