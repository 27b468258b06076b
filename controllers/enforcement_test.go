package controllers

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// cut holds everything back that goes through a connection while its lock is held: the replica
// lives, and hears nothing, or nothing of one resource.
type cut struct {
	sync.RWMutex
	resource string // empty: all
}

func (c *cut) wrap(connection *rest.Config) *rest.Config {
	out := rest.CopyConfig(connection)
	out.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, c.resource) {
				return next.RoundTrip(r)
			}
			c.wait()
			response, err := next.RoundTrip(r)
			if err == nil {
				response.Body = cutBody{response.Body, c}
			}
			return response, err
		})
	})
	return out
}

func (c *cut) wait() {
	c.RLock()
	defer c.RUnlock()
}

type cutBody struct {
	io.ReadCloser
	cut *cut
}

func (b cutBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.cut.wait()
	return n, err
}

// threeReplicas starts three replicas, the last of which can be cut off, and returns their
// directories.
func threeReplicas(w *apitest.World, system string, connection *rest.Config) ([]*directory.Directory, *cut) {
	w.T.Helper()
	last := &cut{}
	var directories []*directory.Directory
	for i := range 3 {
		if i == 2 {
			connection = last.wrap(connection)
		}
		d, _ := startReplica(w, connection, system, fmt.Sprint("replica-", i))
		directories = append(directories, d)
	}
	return directories, last
}

func enforced(w *apitest.World, name string) metav1.Condition {
	w.T.Helper()
	return apitest.Condition(w.ReadUser(name), authv1alpha1.ConditionEnforced)
}

// awaitEnforced waits as kubectl wait --for=condition=Enforced does.
func awaitEnforced(w *apitest.World, name string) {
	w.T.Helper()
	w.Eventually("Enforced of "+name, func() bool {
		u := w.ReadUser(name)
		c := apitest.Condition(u, authv1alpha1.ConditionEnforced)
		return isEnforced(&c, u.Generation)
	})
}

func TestEnforcedMeansInForceOnEveryReplica(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	directories, _ := threeReplicas(w, systemOf(w), connection)
	w.NewSecret("s", map[string]string{"k": apitest.WeakHash(t, "first")})
	u := w.NewUser("jean", `{passwords: [{hashFrom: {secretKeyRef: {name: s, key: k}}}]}`)
	awaitEnforced(w, "jean")
	all := func(what string, holds func(*directory.User) bool) {
		t.Helper()
		for i, d := range directories {
			if found, ok := d.ByKey(w.NS + "/jean"); !ok || !holds(found) {
				t.Errorf("replica %d: not %s, although it is enforced", i, what)
			}
		}
	}
	all("known", func(*directory.User) bool { return true })
	for i := range 5 {
		revoked := i%2 == 0
		w.MustPatch(u, fmt.Sprintf(`{"spec":{"revoked":%t}}`, revoked))
		awaitEnforced(w, "jean")
		all(fmt.Sprint("revoked: ", revoked), func(u *directory.User) bool { return u.Revoked == revoked })
	}
}

// A replica that has not heard of a Tenant does not have the users in its namespaces, although it is as
// new as the others everywhere else.
func TestReplicaThatDoesNotKnowATenantKeepsEnforcedFalse(t *testing.T) {
	l := newLandlord(t)
	deaf := &cut{resource: "/tenants"}
	first, _ := startReplica(l.World, l.connection, l.system, "replica-0")
	second, _ := startReplica(l.World, deaf.wrap(l.connection), l.system, "replica-1")
	team := l.namespace()
	deaf.Lock()
	l.tenant("team-a", `{namespaces: [%s], logins: {suffixes: ["@team-a.test"]}}`, team)
	u := team.NewUser("ada", called("ada@team-a.test"))
	l.Eventually("the first replica serves the team", func() bool { return logsIn(first, "ada@team-a.test", u) })
	l.NewUser("jean", `{}`)
	awaitEnforced(l.World, "jean") // so both replicas have a later version than ada's
	l.Eventually("the second replica holds up ada", func() bool {
		c := enforced(team, "ada")
		return c.Status == metav1.ConditionFalse && strings.Contains(c.Message, "replica-1")
	})
	deaf.Unlock()
	awaitEnforced(team, "ada")
	if !logsIn(second, "ada@team-a.test", u) {
		t.Error("the second replica does not serve the team, although its user is enforced")
	}
}

func TestReplicaThatIsCutOffKeepsEnforcedFalse(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	directories, last := threeReplicas(w, systemOf(w), connection)
	u, other := w.NewUser("jean", `{}`), w.NewUser("rosa", `{}`)
	awaitEnforced(w, "jean")
	awaitEnforced(w, "rosa")
	version := w.ReadUser(other.Name).ResourceVersion

	last.Lock()
	w.MustPatch(u, `{"spec":{"revoked":true}}`)
	w.Eventually("the others have the revocation", func() bool {
		for _, d := range directories[:2] {
			if found, ok := d.ByKey(w.NS + "/jean"); !ok || !found.Revoked {
				return false
			}
		}
		return true
	})
	w.Eventually("Enforced is False and names the replica", func() bool {
		c := enforced(w, "jean")
		return c.Status == metav1.ConditionFalse && c.Reason == authv1alpha1.ReasonPending && c.ObservedGeneration == 2 &&
			strings.Contains(c.Message, "replica-2")
	})
	w.Consistently("Enforced stays False", 2*time.Second, func() bool { return enforced(w, "jean").Status == metav1.ConditionFalse })
	if found, ok := directories[2].ByKey(w.NS + "/jean"); !ok || found.Revoked {
		t.Error("the replica was not cut off")
	}
	last.Unlock()
	awaitEnforced(w, "jean")
	if w.ReadUser(other.Name).ResourceVersion != version {
		t.Error("a User that did not change was written")
	}
}

// A Secret and a Revocation do not change the User, but what is in force of it.
func TestSecretsAndRevocationsAreEnforcedToo(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	directories, last := threeReplicas(w, systemOf(w), connection)
	secret := w.NewSecret("s", map[string]string{"k": apitest.WeakHash(t, "first")})
	w.NewUser("jean", `{passwords: [{hashFrom: {secretKeyRef: {name: s, key: k}}}]}`)
	awaitEnforced(w, "jean")
	isFalse := func() bool { return enforced(w, "jean").Status == metav1.ConditionFalse }

	last.Lock()
	w.MustPatch(secret, fmt.Sprintf(`{"stringData":{"k":%q}}`, apitest.WeakHash(t, "second")))
	w.Eventually("the new Secret is not enforced", isFalse)
	if apitest.Verifies(directories[2], "jean", "second") {
		t.Error("the replica was not cut off")
	}
	last.Unlock()
	awaitEnforced(w, "jean")
	for i, d := range directories {
		if !apitest.Verifies(d, "jean", "second") {
			t.Errorf("replica %d has the old password, although the new one is enforced", i)
		}
	}

	last.Lock()
	r := &authv1alpha1.Revocation{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: "stolen"}}
	r.Spec.UserRef.Name, r.Spec.Reason = "jean", "laptop stolen"
	w.MustCreate(r)
	w.Eventually("the Revocation is not enforced", isFalse)
	last.Unlock()
	awaitEnforced(w, "jean")
	for i, d := range directories {
		if found, _ := d.ByKey(w.NS + "/jean"); len(found.Revocations) != 1 {
			t.Errorf("replica %d does not have the Revocation, although it is enforced", i)
		}
	}
}

// Who starts finds the condition as it was, and who changes one User writes nothing to others.
func TestEnforcedCostsFewWrites(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	system := systemOf(w)
	var writes atomic.Int32
	statusWrites(connection, &writes)
	threeReplicas(w, system, connection)
	const users = 30
	for i := range users {
		w.NewUser(fmt.Sprint("user-", i), `{}`)
	}
	for i := range users {
		awaitEnforced(w, fmt.Sprint("user-", i))
	}
	if n := writes.Load(); n > users*24/10 {
		t.Errorf("%d status writes for %d new Users", n, users)
	}
	writes.Store(0)
	startReplica(w, connection, system, "replica-3")
	w.Consistently("a start writes nothing", 3*informer.WriteJitter, func() bool { return writes.Load() == 0 })
}

func enforcedToken(w *apitest.World, name string) *metav1.Condition {
	w.T.Helper()
	return meta.FindStatusCondition(readToken(w, name).Status.Conditions, authv1alpha1.ConditionEnforced)
}

func readToken(w *apitest.World, name string) *authv1alpha1.Token {
	w.T.Helper()
	t := &authv1alpha1.Token{}
	if err := w.Get(w.T.Context(), client.ObjectKey{Namespace: w.NS, Name: name}, t); err != nil {
		w.T.Fatal(err)
	}
	return t
}

// tokenOf creates the record of a token of a User that ends in an hour.
func tokenOf(w *apitest.World, u *authv1alpha1.User, name string) *authv1alpha1.Token {
	w.T.Helper()
	issued := time.Now().Truncate(time.Millisecond)
	t := &authv1alpha1.Token{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.NS, Name: name, Labels: map[string]string{authv1alpha1.UserUIDLabel: string(u.UID)},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: authv1alpha1.GroupVersion.String(), Kind: "User", Name: u.Name, UID: u.UID}},
	}}
	t.Spec = authv1alpha1.TokenSpec{
		UserRef: authv1alpha1.UserReference{Name: u.Name, UID: string(u.UID)}, TokenID: "id-of-" + name, Kind: authv1alpha1.TokenOpaque,
		IssuedAt: metav1.NewMicroTime(issued), ExpiresAt: metav1.NewMicroTime(issued.Add(time.Hour)),
	}
	w.MustCreate(t)
	return t
}

func TestRevokedTokenIsEnforced(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	directories, _ := threeReplicas(w, systemOf(w), connection)
	u := w.NewUser("jean", `{}`)
	token := tokenOf(w, u, "t")
	w.MustPatch(token, `{"spec":{"revoked":true}}`)
	w.Eventually("the revocation is enforced", func() bool {
		return isEnforced(enforcedToken(w, "t"), readToken(w, "t").Generation)
	})
	for i, d := range directories {
		if r, _ := d.Record(string(u.UID), "id-of-t"); !r.Revoked {
			t.Errorf("replica %d has not revoked the token, although that is enforced", i)
		}
	}
	tokenOf(w, u, "good")
	w.Consistently("a good token has no condition", 3*informer.WriteJitter, func() bool { return enforcedToken(w, "good") == nil })
}

// tokenExists reports whether there is a Token.
func tokenExists(w *apitest.World, name string) bool {
	w.T.Helper()
	err := w.Get(w.T.Context(), client.ObjectKey{Namespace: w.NS, Name: name}, &authv1alpha1.Token{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.T.Fatal(err)
	}
	return err == nil
}

func TestRecordOfARevokedTokenCannotBeDeletedAway(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	u := w.NewUser("jean", `{}`)
	revoked, good := tokenOf(w, u, "revoked"), tokenOf(w, u, "good")
	w.MustPatch(revoked, `{"spec":{"revoked":true}}`)
	w.Eventually("the record is held", func() bool { return len(readToken(w, "revoked").Finalizers) == 1 })
	w.MustDelete(revoked)
	w.MustDelete(good)
	w.Eventually("a good token's record goes", func() bool { return !tokenExists(w, "good") })
	w.Consistently("the revoked one's stays", 2*releaseCheck, func() bool { return tokenExists(w, "revoked") })
	if r, _ := d.Record(string(u.UID), "id-of-revoked"); !r.Revoked {
		t.Error("the token is good again")
	}
	second := newReplica(w)
	if r, _ := second.Record(string(u.UID), "id-of-revoked"); !r.Revoked {
		t.Error("the token is good again on a replica that starts")
	}
	w.MustDelete(u)
	w.Eventually("the record goes with its User", func() bool { return !tokenExists(w, "revoked") })
}

func TestHeldRecordGoesWhenItsTokenHasEnded(t *testing.T) {
	w := apitest.NewWorld(t)
	u := w.NewUser("jean", `{}`)
	token := tokenOf(w, u, "t")
	w.MustPatch(token, `{"metadata":{"finalizers":["`+authv1alpha1.TokenFinalizer+`"]},"spec":{"revoked":true}}`)
	w.MustDelete(token)
	r := &TokenExpiryReconciler{client: w.Client, directory: directory.New(), now: time.Now}
	held := readToken(w, "t")
	if _, err := r.release(t.Context(), held); err != nil || !tokenExists(w, "t") {
		t.Fatalf("the record is gone before its token has ended, error %v", err)
	}
	r.now = func() time.Time { return held.Spec.ExpiresAt.Add(removalDelay) }
	if _, err := r.release(t.Context(), held); err != nil || tokenExists(w, "t") {
		t.Fatalf("the record is still there, error %v", err)
	}
}
