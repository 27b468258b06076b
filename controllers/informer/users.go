// Package informer follows the objects of the API server: it has a cache of Users that decodes each
// object once, indexes of Users, and the event handlers, queues and retries of the controllers.
package informer

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// Users is a cache of the Users in some namespaces. The manager's cache would work too, but it
// takes up most of the time until a replica with many users is ready, because client-go parses the
// JSON of each object seven times. This cache parses it once with watchDecoder, keeps no index, and
// knows whether it is as new as the API server was at start, so that finding out does not take
// another complete list.
//
// Readers share its objects and must not change them. It is safe for concurrent use.
type Users struct {
	namespaces map[string]*usersOfNamespace
}

// usersOfNamespace is an informer for the Users in one namespace.
type usersOfNamespace struct {
	toolscache.SharedIndexInformer
	namespace string
	users     rest.Interface // for Users
	params    runtime.ParameterCodec
	reader    client.Reader // of the API server, not of a cache

	mu             sync.Mutex
	versionAtStart string // resourceVersion of the API server before the first list; empty until known
}

// NewUsers returns a cache that the manager fills when it starts. The cache never resyncs, that is,
// it does not periodically deliver unchanged objects again, because no controller needs that.
func NewUsers(mgr ctrl.Manager, namespaces []string, progress *Progress) (*Users, error) {
	users, err := apiutil.RESTClientForGVK(UserKind(), false, false, mgr.GetConfig(), serializer.NewCodecFactory(mgr.GetScheme()), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make a client for Users: %w", err)
	}
	c := &Users{namespaces: map[string]*usersOfNamespace{}}
	for _, ns := range namespaces {
		u := &usersOfNamespace{namespace: ns, users: users, params: runtime.NewParameterCodec(mgr.GetScheme()), reader: mgr.GetAPIReader()}
		u.SharedIndexInformer = progress.NewInformer(
			&toolscache.ListWatch{ListWithContextFunc: u.list, WatchFuncWithContext: u.watch}, &authv1alpha1.User{}, 0, toolscache.Indexers{})
		if err := u.SetTransform(slimUser); err != nil {
			return nil, fmt.Errorf("set up the cache of Users: %w", err)
		}
		c.namespaces[ns] = u
	}
	return c, mgr.Add(c)
}

// UserKind returns the group, version and kind of User.
func UserKind() schema.GroupVersionKind { return authv1alpha1.GroupVersion.WithKind("User") }

// request returns a request for JSON, whatever content type client-go prefers, because watchDecoder
// reads only JSON.
func (u *usersOfNamespace) request(opts *metav1.ListOptions) *rest.Request {
	return u.users.Get().Namespace(u.namespace).Resource("users").VersionedParams(opts, u.params).SetHeader("Accept", runtime.ContentTypeJSON)
}

// list lists all Users. client-go calls it only if the API server cannot send the initial objects
// as part of a watch.
func (u *usersOfNamespace) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	u.awaitServerVersion(ctx)
	out := &authv1alpha1.UserList{}
	return out, u.request(&opts).Do(ctx).Into(out)
}

// watch watches Users and decodes the events with watchDecoder.
func (u *usersOfNamespace) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	if opts.SendInitialEvents != nil { // the watch begins with all Users
		u.awaitServerVersion(ctx)
	}
	opts.Watch = true
	body, err := u.request(&opts).Stream(ctx)
	if err != nil {
		return nil, err
	}
	reporter := apierrors.NewClientErrorReporter(http.StatusInternalServerError, http.MethodGet, "ClientWatchDecoding")
	return watch.NewStreamWatcherWithLogger(log.FromContext(ctx), newWatchDecoder(body), reporter), nil
}

// NeedLeaderElection returns false, because every replica has its own cache.
func (*Users) NeedLeaderElection() bool { return false }

// Start fills the cache and keeps it up to date until the context ends.
func (c *Users) Start(ctx context.Context) error {
	var all sync.WaitGroup
	for _, u := range c.namespaces {
		all.Go(func() { u.RunWithContext(log.IntoContext(ctx, log.FromContext(ctx).WithName("users"))) })
	}
	all.Wait()
	return nil
}

// Get returns a User, or nil if it does not exist.
func (c *Users) Get(key types.NamespacedName) *authv1alpha1.User {
	u, ok := c.namespaces[key.Namespace]
	if !ok {
		return nil
	}
	object, _, err := u.GetStore().GetByKey(key.String())
	user, ok := object.(*authv1alpha1.User)
	if err != nil || !ok {
		return nil // this store returns no errors
	}
	return user
}

// AwaitFilled returns when the cache holds the initially listed Users or the context ends.
func (c *Users) AwaitFilled(ctx context.Context) {
	for _, u := range c.namespaces {
		toolscache.WaitForCacheSync(ctx.Done(), u.HasSynced)
	}
}

// Sources returns the sources that deliver the events of all Users to h.
func (c *Users) Sources(h handler.EventHandler) []source.Source {
	var out []source.Source
	for _, u := range c.namespaces {
		informer := &registeringInformer{Informer: u}
		out = append(out, syncingSource{&source.Informer{Informer: informer, Handler: h}, informer, u.namespace})
	}
	return out
}

// syncingSource is a source that counts as synced when its handler has received all initially
// listed objects.
type syncingSource struct {
	*source.Informer
	informer  *registeringInformer
	namespace string
}

// String returns the name of the source for logs.
func (s syncingSource) String() string { return "Users of namespace " + s.namespace }

// WaitForSync implements source.SyncingSource.
func (s syncingSource) WaitForSync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), s.informer.registration.HasSynced) && ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("the API server did not list all Users in time: %w", ctx.Err())
	}
	return nil
}

// registeringInformer is an informer that keeps the registration of its handler.
type registeringInformer struct {
	cache.Informer
	registration toolscache.ResourceEventHandlerRegistration
}

// AddEventHandlerWithOptions implements cache.Informer.
func (r *registeringInformer) AddEventHandlerWithOptions(
	h toolscache.ResourceEventHandler, o toolscache.HandlerOptions,
) (_ toolscache.ResourceEventHandlerRegistration, err error) {
	r.registration, err = r.Informer.AddEventHandlerWithOptions(h, o)
	return r.registration, err
}

// firstVersionPause is the pause after the first failed request for the version of the API server.
// The pause doubles after each failure.
const firstVersionPause = 500 * time.Millisecond

// awaitServerVersion gets the current resourceVersion from the API server before the first list of
// all Users. It retries until the API server responds or the context ends. Each attempt sends a new
// request, so that the version is not older than necessary. The request is a list of one object
// without a resourceVersion, which makes the response consistent.
func (u *usersOfNamespace) awaitServerVersion(ctx context.Context) {
	for pause := firstVersionPause; !u.HasSynced(); pause = min(2*pause, 2*retryDelay) {
		first := &metav1.PartialObjectMetadataList{}
		first.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind("UserList"))
		err := u.reader.List(ctx, first, client.InNamespace(u.namespace), client.Limit(1))
		if err == nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.versionAtStart = first.ResourceVersion
			return
		}
		if ctx.Err() != nil {
			return
		}
		log.FromContext(ctx).Error(err, "could not get the current version of the Users; will retry", "namespace", u.namespace)
		Sleep(ctx, pause)
	}
}

// List returns the listing of the cache if the cache is as new as the API server was at start, and
// otherwise asks api.
func (c *Users) List(ctx context.Context, api Lister) (Listing, error) {
	if cached, fresh := c.listing(); fresh {
		return cached, nil
	}
	return api.List(ctx, UserKind())
}

// listing returns the names and versions in the cache, and whether they are at least as new as the
// API server was before the first list. They are not if the first list came from an API server that
// lags behind, or if versions cannot be compared.
func (c *Users) listing() (_ Listing, fresh bool) {
	out := Listing{objects: map[types.NamespacedName]string{}, versions: map[string]string{}}
	for ns, u := range c.namespaces {
		u.mu.Lock()
		versionAtStart := u.versionAtStart
		u.mu.Unlock()
		version := u.GetStore().LastStoreSyncResourceVersion() // read before the objects, which may be newer but not older
		if versionAtStart == "" || older(version, versionAtStart) {
			return Listing{}, false
		}
		out.versions[ns] = version
		for _, object := range u.GetStore().List() {
			if user, ok := object.(*authv1alpha1.User); ok {
				out.objects[client.ObjectKeyFromObject(user)] = user.ResourceVersion
			}
		}
	}
	return out, true
}
