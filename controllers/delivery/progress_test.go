package delivery

import (
	"fmt"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

const usersNamespace = "users"

// sent is a stream of Users whose events the test makes.
type sent struct {
	*Stream
	progress *Progress
	held     map[types.NamespacedName]string // what the cache holds
}

func newSent() *sent {
	p := NewProgress()
	fill(usersNamespace, 1000, p.Secrets, p.Tokens, p.Revocations)
	return &sent{p.Users.Follow(usersNamespace), p, nil}
}

func userAt(name string, version int) *authv1alpha1.User {
	return &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: name, ResourceVersion: strconv.Itoa(version)}}
}

func versionsOf(objects ...metav1.Object) map[types.NamespacedName]string {
	out := map[types.NamespacedName]string{}
	for _, o := range objects {
		out[keyOf(o)] = o.GetResourceVersion()
	}
	return out
}

// list sends a list of all Users.
func (s *sent) list(version int, users ...metav1.Object) {
	listed := versionsOf(users...)
	s.Listed(listed, s.held, strconv.Itoa(version))
	s.held = listed
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
	s.list(20, userAt("a", 7))
	s.want(t, 6)
	s.applied("a", 7)
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
	s.Sent(userAt("a", 12), false)
	s.Sent(userAt("a", 15), false)
	s.Sent(userAt("b", 17), false)
	s.want(t, 11)
	s.applied("b", 17)
	s.want(t, 11)
	s.applied("a", 12)
	s.want(t, 12) // and nothing is known between 12 and 15
	s.applied("a", 15)
	s.want(t, 17)
	s.Reached("30")
	s.want(t, 30)
}

func TestDeletionIsInForceWhenTheDirectoryHasForgotten(t *testing.T) {
	t.Parallel()
	s := newSent()
	s.list(10, userAt("a", 3))
	s.applied("a", 3)
	s.Sent(userAt("a", 14), true)
	s.applied("a", 3) // it was read before the cache knew
	s.want(t, 13)
	s.progress.Users.Forget(key("a"))
	s.want(t, 14)
	s.Sent(userAt("a", 20), false)
	s.progress.Users.Forget(key("a")) // again, before the cache has the new one
	s.want(t, 19)
	s.applied("a", 20)
	s.want(t, 20)
}

// A cache that was away too long lists again. It passes on only what differs from what it holds.
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

// A Secret is in force when each User that it concerns was read after that.
func TestSecretWaitsForItsUsers(t *testing.T) {
	t.Parallel()
	p := NewProgress()
	fill(usersNamespace, 1000, p.Users, p.Tokens, p.Revocations)
	secrets := p.Secrets.Follow(usersNamespace)
	secrets.Listed(nil, nil, "10")
	secrets.Sent(userAt("s", 20), false) // only its metadata matters
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
	s.Sent(odd, false)
	s.want(t, 0)
}

// addNamespace makes a progress follow a namespace in which everything up to a version has arrived; 0:
// nothing has.
func addNamespace(p *Progress, name string, version int) { fill(name, version, p.ofUsers()...) }

// fill is addNamespace for some kinds.
func fill(namespace string, version int, kinds ...*Observed) {
	for _, o := range kinds {
		if s := o.Follow(namespace); version > 0 {
			s.Listed(nil, nil, strconv.Itoa(version))
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
	s := p.Tenants.Follow("system")
	tenant := func(version int) *authv1alpha1.Tenant {
		return &authv1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "a", ResourceVersion: strconv.Itoa(version)}}
	}
	want := func(version uint64) {
		t.Helper()
		if got := p.InForce().In("team-a").Tenants; got != version {
			t.Errorf("in force up to %d, want %d", got, version)
		}
	}
	s.Listed(versionsOf(tenant(5)), nil, "10")
	want(4)
	p.PutTenants([]*authv1alpha1.Tenant{tenant(5)})
	want(10)
	s.Sent(tenant(20), true)
	p.PutTenants([]*authv1alpha1.Tenant{tenant(5)}) // the cache has not heard
	want(19)
	p.PutTenants(nil)
	want(20)
}
