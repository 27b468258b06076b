package delivery

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

const usersNamespace = "users"

// sent is a stream of Users whose events the test makes.
type sent struct {
	*stream
	progress *Progress
	informer toolscache.Store // what the informer holds
}

func newSent() *sent {
	p, store := NewProgress(), toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
	fill(usersNamespace, 1000, p.Secrets, p.Tokens, p.Revocations)
	return &sent{p.Users.follow(nil, usersNamespace, func(context.Context) {}, func() toolscache.Store { return store }), p, store}
}

func userAt(name string, version int) *authv1alpha1.User {
	return &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: name, ResourceVersion: strconv.Itoa(version)}}
}

func bookmark(version int, end bool) watch.Event {
	u := userAt("", version)
	u.Namespace = ""
	if end {
		u.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	return watch.Event{Type: watch.Bookmark, Object: u}
}

// list sends a list that begins a watch, and puts it into the informer if it is complete.
func (s *sent) list(version int, objects ...runtime.Object) {
	s.beginList()
	for _, o := range objects {
		s.listEvent(watch.Event{Type: watch.Added, Object: o})
	}
	if version == 0 {
		return // the connection broke
	}
	s.listEvent(bookmark(version, true))
	all := make([]any, len(objects))
	for i, o := range objects {
		all[i] = o
	}
	_ = s.informer.Replace(all, strconv.Itoa(version)) // never fails with this key function
}

// event sends an event of a watch and puts it into the informer.
func (s *sent) event(kind watch.EventType, u *authv1alpha1.User) {
	s.watchEvent(watch.Event{Type: kind, Object: u})
	if kind == watch.Deleted {
		_ = s.informer.Delete(u)
	} else {
		_ = s.informer.Add(u)
	}
}

func (s *sent) applied(name string, version int) {
	s.progress.Users.Record(key(name), strconv.Itoa(version))
}

func key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: usersNamespace, Name: name}
}

func (s *sent) want(t *testing.T, version uint64) {
	t.Helper()
	if got := s.progress.InForce().In(usersNamespace).Users; got != version {
		t.Errorf("in force up to %d, want %d", got, version)
	}
}

func TestNothingIsInForceBeforeTheListIsComplete(t *testing.T) {
	t.Parallel()
	s := newSent()
	s.want(t, 0)
	s.beginList()
	s.listEvent(watch.Event{Type: watch.Added, Object: userAt("a", 7)})
	s.applied("a", 7)
	s.want(t, 0)
	s.listEvent(bookmark(20, true))
	s.want(t, 20)
}

func TestVersionStopsBeforeWhatIsNotApplied(t *testing.T) {
	t.Parallel()
	s := newSent()
	s.list(10, userAt("a", 3), userAt("b", 5))
	s.applied("b", 5)
	s.want(t, 2)
	s.applied("a", 3)
	s.want(t, 10)
	s.event(watch.Modified, userAt("a", 12))
	s.event(watch.Modified, userAt("a", 15))
	s.event(watch.Modified, userAt("b", 17))
	s.want(t, 11)
	s.applied("b", 17)
	s.want(t, 11)
	s.applied("a", 12)
	s.want(t, 12) // and nothing is known between 12 and 15
	s.applied("a", 15)
	s.want(t, 17)
	s.watchEvent(bookmark(30, false))
	s.want(t, 30)
}

func TestDeletionIsInForceWhenTheDirectoryHasForgotten(t *testing.T) {
	t.Parallel()
	s := newSent()
	s.list(10, userAt("a", 3))
	s.applied("a", 3)
	s.event(watch.Deleted, userAt("a", 14))
	s.applied("a", 3) // it was read before the cache knew
	s.want(t, 13)
	s.progress.Users.Forget(key("a"))
	s.want(t, 14)
	s.event(watch.Added, userAt("a", 20))
	s.progress.Users.Forget(key("a")) // again, before the cache has the new one
	s.want(t, 19)
	s.applied("a", 20)
	s.want(t, 20)
}

// An informer that was away too long lists again. It passes on only what differs from what it holds.
func TestSecondListWaitsForWhatHasChanged(t *testing.T) {
	t.Parallel()
	s := newSent()
	s.list(10, userAt("same", 3), userAt("changed", 4), userAt("deleted", 5))
	for name, version := range map[string]int{"same": 3, "changed": 4, "deleted": 5} {
		s.applied(name, version)
	}
	s.list(50, userAt("same", 3), userAt("changed", 44), userAt("new", 45))
	s.want(t, 43)
	s.applied("changed", 44)
	s.want(t, 44)
	s.applied("new", 45)
	s.want(t, 49)
	s.progress.Users.Forget(key("deleted"))
	s.want(t, 50)
}

func TestObjectOfAnAbandonedListIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSent()
	s.list(0, userAt("a", 3), userAt("short-lived", 4))
	s.list(10, userAt("a", 3))
	s.applied("a", 3)
	s.want(t, 10)
}

func TestObjectDeletedWhileListedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSent()
	s.beginList()
	s.listEvent(watch.Event{Type: watch.Added, Object: userAt("a", 3)})
	s.listEvent(watch.Event{Type: watch.Deleted, Object: userAt("a", 9)})
	s.listEvent(bookmark(10, true))
	s.want(t, 10)
}

// A Secret is in force when each User that it concerns was read after that.
func TestSecretWaitsForItsUsers(t *testing.T) {
	t.Parallel()
	p := NewProgress()
	fill(usersNamespace, 1000, p.Users, p.Tokens, p.Revocations)
	store := toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
	secrets := p.Secrets.follow(nil, usersNamespace, func(context.Context) {}, func() toolscache.Store { return store })
	secrets.beginList()
	secrets.listEvent(bookmark(10, true))
	secret := userAt("s", 20) // only its metadata matters
	secrets.watchEvent(watch.Event{Type: watch.Modified, Object: secret})
	want := func(version uint64) {
		t.Helper()
		if got := p.InForce().In(usersNamespace).Secrets; got != version {
			t.Errorf("in force up to %d, want %d", got, version)
		}
	}
	want(19)
	early := p.ReadUser(key("jean"))
	p.SecretChanged([]types.NamespacedName{key("jean"), key("rosa")}, "20")
	p.Secrets.Record(key("s"), "20")
	early() // read before the change
	want(19)
	jean := p.ReadUser(key("jean"))
	p.SecretChanged([]types.NamespacedName{key("jean")}, "25") // while it is read
	jean()
	p.ReadUser(key("rosa"))()
	want(20)
	p.ReadUser(key("jean"))()
	want(20) // no event has said that there is anything newer
}

func TestVersionThatIsNoNumberIsNotInForce(t *testing.T) {
	t.Parallel()
	s := newSent()
	s.list(10)
	odd := userAt("a", 0)
	odd.ResourceVersion = "a-17"
	s.event(watch.Modified, odd)
	s.want(t, 0)
}

// addNamespace makes a progress follow a namespace in which everything up to a version has arrived; 0:
// nothing has.
func addNamespace(p *Progress, name string, version int) { fill(name, version, p.ofUsers()...) }

// fill is addNamespace for some kinds.
func fill(namespace string, version int, kinds ...*Observed) {
	for _, o := range kinds {
		s := o.follow(nil, namespace, func(context.Context) {}, func() toolscache.Store {
			return toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
		})
		if version > 0 {
			s.beginList()
			s.listEvent(bookmark(version, true))
		}
	}
}

// Of very many namespaces, those with the newest changes are named.
func TestInForceNamesFewNamespaces(t *testing.T) {
	t.Parallel()
	p := NewProgress()
	for i := range 200 {
		addNamespace(p, fmt.Sprint("team-", i), 1000+i)
	}
	f := p.InForce()
	if f.Users != 1000 || len(f.Namespaces) != maximumNamespaces {
		t.Fatalf("oldest %d, %d namespaces", f.Users, len(f.Namespaces))
	}
	if f.In("team-199").Users != 1199 || f.In("team-0").Users != 1000 || f.In("team-100").Users != 1000 {
		t.Errorf("in force: %+v", f)
	}
}

// A namespace that was never read, or that is cut off, says nothing about the others.
func TestNamespaceThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	p := NewProgress()
	addNamespace(p, "lost", 300)
	addNamespace(p, "never", 0)
	p.SetCut([]string{"lost", "never"})
	for i := range 200 {
		addNamespace(p, fmt.Sprint("team-", i), 1000+i)
	}
	f := p.InForce()
	for namespace, version := range map[string]uint64{"lost": 0, "never": 0, "team-0": 1000, "team-199": 1199} {
		if got := f.In(namespace).Users; got != version {
			t.Errorf("in force in %s up to %d, want %d", namespace, got, version)
		}
	}
	p.SetCut(nil)
	if got := p.InForce().In("team-0").Users; got != 300 {
		t.Errorf("in force up to %d, although %q counts again", got, "lost")
	}
	p.Unfollow("lost")
	if got := p.InForce().In("team-0").Users; got != 1000 {
		t.Errorf("in force up to %d after the other namespace is gone", got)
	}
}

// A replica refuses the users of a namespace of which it lacks one kind, so nothing is in force there.
func TestNothingIsInForceInANamespaceThatIsReadInPart(t *testing.T) {
	t.Parallel()
	p := NewProgress()
	fill("team", 10, p.Users, p.Secrets, p.Tokens)
	fill("team", 0, p.Revocations)
	if got := p.InForce().In("team"); got != (Versions{}) {
		t.Errorf("in force: %+v", got)
	}
}

// More unread namespaces than can be named count for all.
func TestTooManyUnreadNamespacesCountForAll(t *testing.T) {
	t.Parallel()
	p := NewProgress()
	addNamespace(p, "read", 500)
	for i := range maximumNamespaces + 1 {
		addNamespace(p, fmt.Sprint("unread-", i), 0)
	}
	f := p.InForce()
	if f.Versions != (Versions{}) || f.In("read").Users != 500 || f.In("unread-7").Users != 0 {
		t.Errorf("in force: %+v", f)
	}
}

// The Tenants are in force once all that have arrived were put in force, and those that are gone are
// not.
func TestTenantsAreInForceWhenTheyWerePut(t *testing.T) {
	t.Parallel()
	p := NewProgress()
	addNamespace(p, "team-a", 10)
	store := toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
	s := p.Tenants.follow(nil, "system", func(context.Context) {}, func() toolscache.Store { return store })
	tenant := func(version int) *authv1alpha1.Tenant {
		return &authv1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "a", ResourceVersion: strconv.Itoa(version)}}
	}
	want := func(version uint64) {
		t.Helper()
		if got := p.InForce().In("team-a").Tenants; got != version {
			t.Errorf("in force up to %d, want %d", got, version)
		}
	}
	s.beginList()
	s.listEvent(watch.Event{Type: watch.Added, Object: tenant(5)})
	s.listEvent(bookmark(10, true))
	want(4)
	p.PutTenants([]*authv1alpha1.Tenant{tenant(5)})
	want(10)
	s.watchEvent(watch.Event{Type: watch.Deleted, Object: tenant(20)})
	p.PutTenants([]*authv1alpha1.Tenant{tenant(5)}) // the cache has not heard
	want(19)
	p.PutTenants(nil)
	want(20)
}
