// Package informer is what the API server has said: a cache of Users that reads each object once, indexes over it, and the pace,
// the retries and the queues of the controllers that follow it.
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

// Users is the cache of the Users of some namespaces. The manager's cache would serve as well, but takes most of the time until
// a replica with many users is ready: client-go reads the JSON of each object seven times over. This one reads it with
// watchDecoder, keeps no index, and can tell whether it is as new as the API server was at start, so that not everything has to
// be listed again to find out.
//
// Readers share its objects and must not change them. It is safe for concurrent use.
type Users struct {
	namespaces map[string]*usersOfNamespace
}

// usersOfNamespace is an informer of one namespace.
type usersOfNamespace struct {
	toolscache.SharedIndexInformer
	namespace string
	users     rest.Interface // reads Users
	params    runtime.ParameterCodec
	reader    client.Reader // the API server itself

	mu      sync.Mutex
	atStart string // how new the API server was before the first list; empty until it has said so
}

// NewUsers makes a cache that is filled when the manager starts. Its objects are not handed out again once in a while, as those
// of the manager's cache are: nobody here needs that.
func NewUsers(mgr ctrl.Manager, namespaces []string) (*Users, error) {
	users, err := apiutil.RESTClientForGVK(UserKind(), false, false, mgr.GetConfig(), serializer.NewCodecFactory(mgr.GetScheme()), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make a client for Users: %w", err)
	}
	c := &Users{namespaces: map[string]*usersOfNamespace{}}
	for _, ns := range namespaces {
		u := &usersOfNamespace{namespace: ns, users: users, params: runtime.NewParameterCodec(mgr.GetScheme()), reader: mgr.GetAPIReader()}
		u.SharedIndexInformer = NewRetryingInformer(
			&toolscache.ListWatch{ListWithContextFunc: u.list, WatchFuncWithContext: u.watch}, &authv1alpha1.User{}, 0, toolscache.Indexers{})
		if err := u.SetTransform(slimUser); err != nil {
			return nil, fmt.Errorf("set up the cache of Users: %w", err)
		}
		c.namespaces[ns] = u
	}
	return c, mgr.Add(c)
}

func UserKind() schema.GroupVersionKind { return authv1alpha1.GroupVersion.WithKind("User") }

// request asks for JSON whatever client-go prefers: nothing else is read here.
func (u *usersOfNamespace) request(opts *metav1.ListOptions) *rest.Request {
	return u.users.Get().Namespace(u.namespace).Resource("users").VersionedParams(opts, u.params).SetHeader("Accept", runtime.ContentTypeJSON)
}

// list reads all Users at once. It is needed only where an API server cannot send them as a watch.
func (u *usersOfNamespace) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	u.awaitServerVersion(ctx)
	out := &authv1alpha1.UserList{}
	return out, u.request(&opts).Do(ctx).Into(out)
}

// watch reads events with watchDecoder.
func (u *usersOfNamespace) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	if opts.SendInitialEvents != nil { // all Users come first
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

// NeedLeaderElection says that every replica has its own.
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

// Get returns a User, or nil if there is none.
func (c *Users) Get(key types.NamespacedName) *authv1alpha1.User {
	u, ok := c.namespaces[key.Namespace]
	if !ok {
		return nil
	}
	object, _, err := u.GetStore().GetByKey(key.String())
	user, ok := object.(*authv1alpha1.User)
	if err != nil || !ok {
		return nil // the store in use gives no error
	}
	return user
}

// AwaitFilled returns when the cache holds what was listed first, or the context ends.
func (c *Users) AwaitFilled(ctx context.Context) {
	for _, u := range c.namespaces {
		toolscache.WaitForCacheSync(ctx.Done(), u.HasSynced)
	}
}

// Sources returns what feeds a controller with the events of all Users.
func (c *Users) Sources(h handler.EventHandler) []source.Source {
	var out []source.Source
	for _, u := range c.namespaces {
		informer := &registeringInformer{Informer: u}
		out = append(out, syncingSource{&source.Informer{Informer: informer, Handler: h}, informer, u.namespace})
	}
	return out
}

// syncingSource is a source whose controller begins when everything that was listed first has been handed to its handler.
type syncingSource struct {
	*source.Informer
	informer  *registeringInformer
	namespace string
}

// String names the source in logs.
func (s syncingSource) String() string { return "Users of namespace " + s.namespace }

// WaitForSync implements source.SyncingSource.
func (s syncingSource) WaitForSync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), s.informer.registration.HasSynced) && ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("the Users were not listed in time: %w", ctx.Err())
	}
	return nil
}

// registeringInformer is an informer that remembers how its handler was registered.
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

// firstPause is how long the API server is left alone after it has not said how new it is; the pause doubles each time.
const firstPause = 500 * time.Millisecond

// awaitServerVersion asks the API server how new it is before all Users are read for the first time, until it answers or the context ends. It
// asks anew before each try, so that one that takes long does not make do with an old answer. A list of one object without a
// resourceVersion in the request tells: it is consistent.
func (u *usersOfNamespace) awaitServerVersion(ctx context.Context) {
	for pause := firstPause; !u.HasSynced(); pause = min(2*pause, 2*retryDelay) {
		first := &metav1.PartialObjectMetadataList{}
		first.SetGroupVersionKind(authv1alpha1.GroupVersion.WithKind("UserList"))
		err := u.reader.List(ctx, first, client.InNamespace(u.namespace), client.Limit(1))
		if err == nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.atStart = first.ResourceVersion
			return
		}
		if ctx.Err() != nil {
			return
		}
		log.FromContext(ctx).Error(err, "the API server does not say how new its Users are", "namespace", u.namespace)
		Sleep(ctx, pause)
	}
}

// List says what the cache holds where that is as new as the API server was, and otherwise what the API server lists.
func (c *Users) List(ctx context.Context, api Lister) (Listing, error) {
	if held, fresh := c.listing(); fresh {
		return held, nil
	}
	return api.List(ctx, UserKind())
}

// listing says what the cache holds, and whether that is at least as new as the API server was before anything was listed. It
// is not when the first list came from an API server that lags, or when versions cannot be compared.
func (c *Users) listing() (_ Listing, fresh bool) {
	out := Listing{objects: map[types.NamespacedName]string{}, versions: map[string]string{}}
	for ns, u := range c.namespaces {
		u.mu.Lock()
		atStart := u.atStart
		u.mu.Unlock()
		version := u.GetStore().LastStoreSyncResourceVersion() // before its objects, which may be newer but not older
		if atStart == "" || older(version, atStart) {
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
