package controllers

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// landlord is a service with Tenants: a namespace of users that belongs to none, the namespace of the
// service, and the rights of its replicas in both.
type landlord struct {
	*apitest.World
	connection *rest.Config
	system     string
}

func newLandlord(t *testing.T) *landlord {
	t.Helper()
	w := apitest.NewWorld(t)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	return &landlord{w, w.Restricted(), systemOf(w)}
}

// replica starts a replica whose namespaces without a Tenant are that of the world and these.
func (l *landlord) replica(namespaces ...string) *directory.Directory {
	l.T.Helper()
	d, _ := launchReplica(l.World, l.connection, l.system, "", func(c *Config) { c.Namespaces = append(c.Namespaces, namespaces...) })
	return d
}

// namespace makes a namespace for users, with a Secret, in which the service has its rights.
func (l *landlord) namespace() *apitest.World {
	l.T.Helper()
	team := l.closedNamespace()
	l.admit(team)
	return team
}

// closedNamespace is namespace without rights.
func (l *landlord) closedNamespace() *apitest.World {
	l.T.Helper()
	team := apitest.NewWorld(l.T)
	team.NewSecret("shared", map[string]string{"password": "some-password"})
	return team
}

func (l *landlord) admit(team *apitest.World) {
	l.T.Helper()
	apitest.GrantRole(l.T, l.Client, apitest.UsersRole, team.NS, l.NS)
}

// tenant creates a Tenant from a spec in YAML, which names the namespaces of teams as %s.
func (l *landlord) tenant(name, spec string, teams ...*apitest.World) *authv1alpha1.Tenant {
	l.T.Helper()
	names := make([]any, len(teams))
	for i, team := range teams {
		names[i] = team.NS
	}
	t := &authv1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Namespace: l.system, Name: name}}
	if err := yaml.UnmarshalStrict(fmt.Appendf(nil, spec, names...), &t.Spec); err != nil {
		l.T.Fatal(err)
	}
	l.MustCreate(t)
	return t
}

// awaitTenant waits until a condition of a Tenant has a status and a reason, and returns its message.
func (l *landlord) awaitTenant(name, kind string, status metav1.ConditionStatus, reason string) (message string) {
	l.T.Helper()
	l.Eventually(fmt.Sprintf("%s of %s is %s for %s", kind, name, status, reason), func() bool {
		t := &authv1alpha1.Tenant{}
		if err := l.Get(l.T.Context(), client.ObjectKey{Namespace: l.system, Name: name}, t); err != nil {
			l.T.Fatal(err)
		}
		c := meta.FindStatusCondition(t.Status.Conditions, kind)
		if c == nil || c.Status != status || c.Reason != reason || c.ObservedGeneration != t.Generation {
			return false
		}
		message = c.Message
		return true
	})
	return message
}

// called returns the spec of a User with a login and a password.
func called(login string) string {
	return `{login: "` + login + `", passwords: [{plaintextFrom: {secretKeyRef: {name: shared, key: password}}}]}`
}

// logsIn reports whether a User has a login, may log in and has its password.
func logsIn(d *directory.Directory, login string, u *authv1alpha1.User) bool {
	holder, ok := d.ByLogin(login)
	return ok && holder.UID == string(u.UID) && !d.Cut(holder) && holder.Check(time.Now()) == nil && apitest.Verifies(d, login, "some-password")
}

func TestTenantComesAndGoesWithoutRestart(t *testing.T) {
	l := newLandlord(t)
	d := l.replica()
	l.Eventually("the directory is synced", d.HasSynced)
	team := l.namespace()
	u := team.NewUser("jean", called("jean@team-a.test"))
	revoked := team.NewUser("rosa", called("rosa@team-a.test"))
	team.MustCreate(&authv1alpha1.Revocation{
		ObjectMeta: metav1.ObjectMeta{Namespace: team.NS, Name: "gone"},
		Spec:       authv1alpha1.RevocationSpec{UserRef: authv1alpha1.UserNameReference{Name: "rosa"}, Reason: "left"},
	})
	for range 2 {
		tenant := l.tenant("team-a", `{namespaces: [%s], logins: {suffixes: ["@team-a.test"]}, maximumLifetime: 24h}`, team)
		l.Eventually("the user logs in", func() bool { return logsIn(d, "jean@team-a.test", u) })
		if logsIn(d, "rosa@team-a.test", revoked) {
			t.Error("a revoked user logs in")
		}
		if got, _ := d.ByLogin("jean@team-a.test"); got.Tenant != "team-a" || got.MaximumLifetime != 24*time.Hour {
			t.Errorf("the user has tenant %q and a maximum lifetime of %s", got.Tenant, got.MaximumLifetime)
		}
		l.awaitTenant("team-a", "Ready", metav1.ConditionTrue, "Watching")
		team.AwaitStatus("jean", "Active", "Active")
		l.MustDelete(tenant)
		l.Eventually("the users are gone", func() bool { return d.Len() == 0 })
	}
}

func TestUserOutsideItsTenantIsStalled(t *testing.T) {
	l := newLandlord(t)
	d := l.replica()
	team := l.namespace()
	l.tenant("team-a", `{namespaces: [%s], logins: {suffixes: ["@team-a.test"]}, groups: {prefixes: ["team-a:", "gatehouse-"]}}`, team)
	u := team.NewUser("jean", called("root"))
	for _, c := range []struct{ patch, says string }{
		{`{}`, `the login "root"`},
		{`{"spec":{"login":"jean@team-a.test","groups":["wheel"]}}`, `group "wheel"`},
		{`{"spec":{"groups":["gatehouse-admins"]}}`, `group "gatehouse-admins"`},
		{`{"spec":{"groups":[],"identities":[{"serviceAccount":{"name":"x","namespace":"other"}}]}}`, "identities[0]"},
	} {
		team.MustPatch(u, c.patch)
		got := team.AwaitStatus("jean", "Invalid", "NotPermitted")
		stalled := apitest.Condition(got, authv1alpha1.ConditionStalled)
		if stalled.Status != metav1.ConditionTrue || stalled.Reason != "NotPermitted" || !strings.Contains(stalled.Message, c.says) {
			t.Errorf("%s: Stalled is %+v, want %s", c.patch, stalled, c.says)
		}
		if logsIn(d, got.EffectiveLogin(), u) {
			t.Errorf("%s: the user logs in", c.patch)
		}
	}
	team.MustPatch(u, `{"spec":{"groups":["team-a:ops"],"identities":null}}`)
	team.AwaitStatus("jean", "Active", "Active")
	l.Eventually("the user logs in", func() bool { return logsIn(d, "jean@team-a.test", u) })
}

// A change of a Tenant reaches the Users who have not changed.
func TestChangedTenantReachesItsUsers(t *testing.T) {
	l := newLandlord(t)
	d := l.replica()
	team := l.namespace()
	tenant := l.tenant("team-a", `{namespaces: [%s], logins: {suffixes: ["@old.test"]}}`, team)
	u := team.NewUser("jean", called("jean@old.test"))
	team.AwaitStatus("jean", "Active", "Active")
	l.MustPatch(tenant, `{"spec":{"logins":{"suffixes":["@new.test"]}}}`)
	team.AwaitStatus("jean", "Invalid", "NotPermitted")
	if logsIn(d, "jean@old.test", u) {
		t.Error("the user logs in")
	}
	l.MustPatch(tenant, `{"spec":{"logins":{"suffixes":["@new.test","@old.test"]}}}`)
	team.AwaitStatus("jean", "Active", "Active")
}

// Whoever creates the User of a login first, in whatever namespace, and however often Git deletes and
// creates it again: on all replicas the owner by configuration has it.
func TestSquatterNeverGetsALogin(t *testing.T) {
	l := newLandlord(t)
	second, team := l.namespace(), l.namespace()
	l.tenant("team-a", `{namespaces: [%s], logins: {suffixes: ["@team-a.test"]}}`, team)
	var replicas []*directory.Directory
	for range 3 {
		replicas = append(replicas, l.replica(second.NS))
	}
	owners := []*apitest.World{l.World, second, team} // by configuration
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	users := make([][]*authv1alpha1.User, len(orders))
	for place := range owners {
		if place > 0 { // creationTimestamp has whole seconds
			last := users[0][orders[0][place-1]].CreationTimestamp.Unix()
			l.Eventually("the next second has begun", func() bool { return time.Now().Unix() > last })
		}
		for i, order := range orders {
			if users[i] == nil {
				users[i] = make([]*authv1alpha1.User, len(owners))
			}
			who := order[place]
			users[i][who] = owners[who].NewUser(fmt.Sprint("user-", i), called(login(i)))
		}
	}
	everywhere := func(i, who int) func() bool {
		return func() bool {
			return !slices.ContainsFunc(replicas, func(d *directory.Directory) bool { return !logsIn(d, login(i), users[i][who]) })
		}
	}
	for i, order := range orders {
		l.Eventually(fmt.Sprintf("the owner has the login of order %v", order), everywhere(i, 0))
		l.AwaitStatus(fmt.Sprint("user-", i), "Active", "Active")
		for _, squatted := range owners[1:] {
			got := squatted.AwaitStatus(fmt.Sprint("user-", i), "Invalid", "LoginConflict")
			if message := apitest.Condition(got, authv1alpha1.ConditionReady).Message; !strings.Contains(message, "precedence") {
				t.Errorf("order %v: %s", order, message)
			}
		}
	}
	for i := range orders {
		l.MustDelete(users[i][0])
		l.Eventually("the next in the configuration has the login", everywhere(i, 1))
		users[i][0] = l.NewUser(fmt.Sprint("user-", i), called(login(i)))
	}
	for i, order := range orders {
		l.Eventually(fmt.Sprintf("the owner has the login of order %v again", order), everywhere(i, 0))
	}
}

func login(i int) string { return fmt.Sprint("root-", i, "@team-a.test") }

func TestTwoTenantsThatAllowOneLoginReportIt(t *testing.T) {
	l := newLandlord(t)
	d := l.replica()
	a, b := l.namespace(), l.namespace()
	l.tenant("a", `{namespaces: [%s], logins: {suffixes: ["@shared.test"], exact: [only-a]}}`, a)
	l.awaitTenant("a", "Ready", metav1.ConditionTrue, "Watching")
	first := a.NewUser("jean", called("jean@shared.test"))
	fine := a.NewUser("fine", called("only-a"))
	a.AwaitStatus("jean", "Active", "Active")
	second := l.tenant("b", `{namespaces: [%s], logins: {suffixes: ["@shared.test"]}}`, b)
	b.NewUser("jean", called("jean@shared.test"))
	for name, other := range map[string]string{"a": `"b"`, "b": `"a"`} {
		message := l.awaitTenant(name, "Ready", metav1.ConditionFalse, "Conflict")
		l.awaitTenant(name, "Stalled", metav1.ConditionTrue, "Conflict")
		if !strings.Contains(message, other) || !strings.Contains(message, "@shared.test") {
			t.Errorf("Tenant %s: %s", name, message)
		}
	}
	for _, team := range []*apitest.World{a, b} {
		team.AwaitStatus("jean", "Invalid", "NotPermitted")
	}
	if u, ok := d.ByLogin("jean@shared.test"); ok && u.Check(time.Now()) == nil {
		t.Errorf("%s has the login that two Tenants allow", u.Key)
	}
	if !logsIn(d, "only-a", fine) {
		t.Error("a user whom no other Tenant concerns does not log in")
	}
	l.MustDelete(second)
	a.AwaitStatus("jean", "Active", "Active")
	l.Eventually("the user logs in again", func() bool { return logsIn(d, "jean@shared.test", first) })
}

// Someone who may write Tokens in one namespace decides nothing about the tokens of another.
func TestRecordOfAnotherNamespaceDoesNotCount(t *testing.T) {
	l := newLandlord(t)
	d := l.replica()
	team := l.namespace()
	l.tenant("team-a", `{namespaces: [%s], logins: {suffixes: ["@team-a.test"]}}`, team)
	u := l.NewUser("jean", called("jean"))
	l.Eventually("the user logs in", func() bool { return logsIn(d, "jean", u) })
	id := func(user string) string { return strings.Repeat("A", 32-len(user)) + user }
	record := func(w *apitest.World, user string) *authv1alpha1.Token {
		issued := time.Now().Truncate(time.Microsecond)
		return &authv1alpha1.Token{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: "record-of-" + user},
			Spec: authv1alpha1.TokenSpec{
				TokenID: id(user), Kind: authv1alpha1.TokenOpaque, UserRef: authv1alpha1.UserReference{Name: user, UID: string(u.UID)},
				IssuedAt: metav1.NewMicroTime(issued), ExpiresAt: metav1.NewMicroTime(issued.Add(time.Hour)), Revoked: true,
			},
		}
	}
	for n, user := range []string{"jean", "unknown"} {
		team.MustCreate(record(team, user))
		l.Eventually("the foreign record is there", func() bool { return d.RecordCount() == n+1 })
		if _, counts := d.Record(string(u.UID), id(user)); counts || d.CountRecords(string(u.UID)) != 0 {
			t.Errorf("a record of another namespace counts, for a user called %s", user)
		}
	}
	l.MustCreate(record(l.World, "jean"))
	l.Eventually("a record of the same namespace counts", func() bool {
		r, ok := d.Record(string(u.UID), id("jean"))
		return ok && r.Revoked
	})
}

// eventuallyWithin waits longer than apitest.Timeout.
func eventuallyWithin(t *testing.T, most time.Duration, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(most); !holds(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", most, what)
		}
	}
}

// A replica that starts becomes ready without a namespace that was never there and one that it may not
// read. When it may, it needs no restart.
func TestNamespaceThatCannotBeReadHarmsItselfAlone(t *testing.T) {
	t.Parallel()
	l := newLandlord(t)
	closed, open := l.closedNamespace(), l.namespace()
	l.tenant("closed", `{namespaces: [%s], logins: {suffixes: ["@closed.test"]}}`, closed)
	l.tenant("open", `{namespaces: [%s], logins: {suffixes: ["@open.test"]}}`, open)
	in := closed.NewUser("in", called("in@closed.test"))
	mine, theirs := l.NewUser("mine", called("mine")), open.NewUser("theirs", called("theirs@open.test"))
	d := l.replica("never-existed-" + l.NS)
	started := time.Now()
	eventuallyWithin(t, 45*time.Second, "the replica is ready", d.HasSynced)
	t.Logf("ready after %s", time.Since(started).Round(time.Millisecond))
	if !logsIn(d, "mine", mine) || !logsIn(d, "theirs@open.test", theirs) {
		t.Error("a user of another namespace does not log in")
	}
	if !d.MayBeCut("in@closed.test") || !d.Incomplete() {
		t.Error("the login of a namespace that cannot be read is refused for good")
	}
	message := l.awaitTenant("closed", "Watching", metav1.ConditionFalse, "NotReadable")
	l.awaitTenant("closed", "Ready", metav1.ConditionFalse, "NotReadable")
	l.awaitTenant("open", "Ready", metav1.ConditionTrue, "Watching")
	if !strings.Contains(message, closed.NS) || !strings.Contains(message, "RoleBinding") {
		t.Errorf("the message does not help: %s", message)
	}
	l.admit(closed)
	eventuallyWithin(t, 45*time.Second, "the user logs in", func() bool { return logsIn(d, "in@closed.test", in) })
	eventuallyWithin(t, 45*time.Second, "the Tenant is ready", func() bool {
		tenant := &authv1alpha1.Tenant{}
		return l.Get(t.Context(), client.ObjectKey{Namespace: l.system, Name: "closed"}, tenant) == nil &&
			meta.IsStatusConditionTrue(tenant.Status.Conditions, authv1alpha1.ConditionReady)
	})
}

// cutter ends the watches of a namespace, as the API server does every few minutes.
type cutter struct {
	namespace string
	mu        sync.Mutex
	watches   []*http.Response
}

func (c *cutter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err == nil && r.URL.Query().Has("watch") && strings.Contains(r.URL.Path, "/namespaces/"+c.namespace+"/") {
			c.mu.Lock()
			c.watches = append(c.watches, response)
			c.mu.Unlock()
		}
		return response, err
	})
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, response := range c.watches {
		_ = response.Body.Close()
	}
	c.watches = nil
}

// The rights in the namespace of one Tenant are taken away while the service runs, and given back. The
// others notice nothing.
func TestRightsOfOneTenantAreTakenAway(t *testing.T) {
	t.Parallel()
	l := newLandlord(t)
	team, other := l.namespace(), l.namespace()
	c := &cutter{namespace: team.NS}
	l.connection.Wrap(c.wrap)
	l.tenant("team", `{namespaces: [%s], logins: {suffixes: ["@team.test"]}}`, team)
	l.tenant("other", `{namespaces: [%s], logins: {suffixes: ["@other.test"]}}`, other)
	in, out := team.NewUser("in", called("in@team.test")), other.NewUser("out", called("out@other.test"))
	d := l.replica()
	l.Eventually("both log in", func() bool { return logsIn(d, "in@team.test", in) && logsIn(d, "out@other.test", out) })
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: team.NS, Name: "gatehouse-users"}}
	list := &rbacv1.RoleBindingList{}
	if err := l.List(t.Context(), list, client.InNamespace(team.NS)); err != nil || len(list.Items) != 1 {
		t.Fatalf("RoleBindings %v, %v", list.Items, err)
	}
	binding.Name = list.Items[0].Name
	l.MustDelete(binding)
	c.cut()
	failed := 0
	eventuallyWithin(t, 60*time.Second, "the users of the Tenant are refused", func() bool {
		if !logsIn(d, "out@other.test", out) {
			failed++
		}
		holder, ok := d.ByLogin("in@team.test")
		return ok && d.Cut(holder)
	})
	if failed > 0 {
		t.Errorf("%d times a user of another Tenant did not log in", failed)
	}
	l.awaitTenant("team", "Watching", metav1.ConditionFalse, "NotReadable")
	team.MustPatch(in, `{"spec":{"revoked":true}}`)
	l.admit(team)
	eventuallyWithin(t, 45*time.Second, "the namespace can be read", func() bool { return !d.Incomplete() })
	if logsIn(d, "in@team.test", in) {
		t.Error("a user who was revoked meanwhile logs in")
	}
}
