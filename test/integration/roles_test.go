package integration_test

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// person is someone with the rights of one role of docs/rights.md in the namespace of a world, which
// has a User jean whose tokens are revoked, its Secret, a Revocation, and a revoked and a good Token of it.
type person struct {
	*apitest.World
	own  client.Client
	user *authv1alpha1.User
}

func newPerson(t *testing.T, role string) *person {
	t.Helper()
	p := &person{World: apitest.NewWorld(t)}
	p.grant(role)
	own, err := client.New(apitest.User(t, p.NS+"-"+role), client.Options{Scheme: apitest.Scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	p.own = own
	p.NewSecret("jean", map[string]string{"password": "Lantern-Orchard-27-Violet"})
	p.user = p.NewUser("jean", `{passwords: [{plaintextFrom: {secretKeyRef: {name: jean, key: password}}}]}`)
	p.MustPatchStatus(p.user, `{"status":{"tokensRevokedAt":"2026-01-02T00:00:00Z","lockedUntil":"2099-01-01T00:00:00Z","failedLogins":10}}`)
	p.MustCreate(revocation("jean")(p))
	for name, revoked := range map[string]bool{"good": false, "revoked": true} {
		p.MustCreate(p.token(name, revoked))
	}
	return p
}

// grant gives a role of the page to the user of the same name.
func (p *person) grant(role string) {
	p.T.Helper()
	for document := range strings.SplitSeq(docsBlock(p.T.(*testing.T), "rights.md", "roles.yaml"), "\n---\n") { //nolint:errcheck // newPerson has one
		object := &rbacv1.Role{}
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			p.T.Fatal(err)
		}
		if object.Name != "gatehouse-"+role {
			continue
		}
		object.Namespace = p.NS
		p.MustCreate(object)
		p.MustCreate(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.NS, Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: object.Name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: p.NS + "-" + role}},
		})
		return
	}
	p.T.Fatalf("docs/rights.md has no role %s", role)
}

func (p *person) token(name string, revoked bool) *authv1alpha1.Token {
	issued := time.Now().Truncate(time.Microsecond)
	return &authv1alpha1.Token{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.NS, Name: name},
		Spec: authv1alpha1.TokenSpec{
			TokenID: strings.Repeat("A", 31) + map[bool]string{true: "A", false: "Q"}[revoked], Kind: authv1alpha1.TokenOpaque,
			UserRef:  authv1alpha1.UserReference{Name: p.user.Name, UID: string(p.user.UID)},
			IssuedAt: metav1.NewMicroTime(issued), ExpiresAt: metav1.NewMicroTime(issued.Add(time.Hour)), Revoked: revoked,
		},
	}
}

// errIgnored means that the API server took a request and ignored what it may not change.
var errIgnored = errors.New("ignored")

func merge(patch string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(patch)) }

// attempt is something that a person tries.
type attempt func(p *person) error

func patchUser(patch string) attempt {
	return func(p *person) error { return p.own.Patch(p.T.Context(), p.user.DeepCopy(), merge(patch)) }
}

func patchStatus(patch string) attempt {
	return func(p *person) error { return p.own.Status().Patch(p.T.Context(), p.user.DeepCopy(), merge(patch)) }
}

func patchToken(name, patch string) attempt {
	return func(p *person) error { return p.own.Patch(p.T.Context(), p.token(name, false), merge(patch)) }
}

func create(o func(p *person) client.Object) attempt {
	return func(p *person) error { return p.own.Create(p.T.Context(), o(p)) }
}

func remove(o func(p *person) client.Object) attempt {
	return func(p *person) error { return p.own.Delete(p.T.Context(), o(p)) }
}

func readSecret(namespace, name string) attempt {
	return func(p *person) error {
		key := client.ObjectKey{Namespace: p.NS, Name: name}
		if namespace != "" {
			key.Namespace = namespace
		}
		return p.own.Get(p.T.Context(), key, &corev1.Secret{})
	}
}

func listSecrets(p *person) error {
	return p.own.List(p.T.Context(), &corev1.SecretList{}, client.InNamespace(p.NS))
}

func listUsers(p *person) error {
	return p.own.List(p.T.Context(), &authv1alpha1.UserList{}, client.InNamespace(p.NS))
}

func listRevocations(p *person) error {
	return p.own.List(p.T.Context(), &authv1alpha1.RevocationList{}, client.InNamespace(p.NS))
}

func listTokens(p *person) error {
	return p.own.List(p.T.Context(), &authv1alpha1.TokenList{}, client.InNamespace(p.NS))
}

func user(name string) func(*person) client.Object {
	return func(p *person) client.Object {
		return &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: p.NS, Name: name}}
	}
}

func record(name string) func(*person) client.Object {
	return func(p *person) client.Object { return p.token(name, false) }
}

func revocation(name string) func(*person) client.Object {
	return func(p *person) client.Object {
		return &authv1alpha1.Revocation{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.NS, Name: name},
			Spec:       authv1alpha1.RevocationSpec{UserRef: authv1alpha1.UserNameReference{Name: "jean"}, Reason: "laptop stolen"},
		}
	}
}

func secret(name string) func(*person) client.Object {
	return func(p *person) client.Object {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.NS, Name: name}}
	}
}

// forbidden are the attempts that no role may succeed with.
func forbidden() map[string]attempt {
	return map[string]attempt{
		"take a revocation of all tokens back": patchStatus(`{"status":{"tokensRevokedAt":null}}`),
		"move a revocation of all tokens back": patchStatus(`{"status":{"tokensRevokedAt":"2026-01-01T00:00:00Z"}}`),
		"remove the whole status":              patchStatus(`{"status":null}`),
		"remove the status by the main route":  patchUserKeepsStatus,
		"take the revocation of a token back":  patchToken("revoked", `{"spec":{"revoked":false}}`),
		"remove the revocation of a token":     patchToken("revoked", `{"spec":{"revoked":null}}`),
		"let a record end earlier":             patchToken("revoked", `{"spec":{"expiresAt":"2026-01-01T00:00:00.000000Z"}}`),
		"give a record another user":           patchToken("good", `{"spec":{"userRef":{"uid":"another"}}}`),
		"give a record another token":          patchToken("good", `{"spec":{"tokenID":"BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBQ"}}`),
		"create a record":                      create(record("forged")),
		"delete a record":                      remove(record("revoked")),
		"read the keys":                        readSecret("gatehouse-system", "gatehouse-keys"),
		"read a Secret of another namespace":   readSecret("default", "any"),
		"create a User in another namespace":   createElsewhere,
		"give itself another role":             create(func(p *person) client.Object { return anyBinding(p) }),
	}
}

// patchUserKeepsStatus fails if a patch of the main resource changes the status.
func patchUserKeepsStatus(p *person) error {
	if err := p.own.Patch(p.T.Context(), p.user.DeepCopy(), merge(`{"status":null}`)); err != nil {
		return err
	}
	if p.ReadUser("jean").Status.TokensRevokedAt != nil {
		return errIgnored
	}
	return nil
}

func createElsewhere(p *person) error {
	return p.own.Create(p.T.Context(), &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "stranger"}})
}

func anyBinding(p *person) client.Object {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.NS, Name: "more"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:authenticated"}},
	}
}

// test tries what a role may do and, before that, what it may not.
func (p *person) test(may, mayNot map[string]attempt) {
	p.T.Helper()
	for _, attempts := range []map[string]attempt{forbidden(), mayNot} {
		for name, try := range attempts {
			if err := try(p); err == nil {
				p.T.Errorf("was able to %s", name)
			}
		}
	}
	for name, try := range may {
		if err := try(p); err != nil {
			p.T.Errorf("was not able to %s: %v", name, err)
		}
	}
	if at := p.ReadUser("jean").Status.TokensRevokedAt; at == nil || at.Year() != 2026 {
		p.T.Errorf("the tokens of jean are revoked at %v", at)
	}
	kept := &authv1alpha1.Token{}
	if err := p.Get(p.T.Context(), client.ObjectKey{Namespace: p.NS, Name: "revoked"}, kept); err != nil || !kept.Spec.Revoked {
		p.T.Errorf("the revoked token is %+v (%v)", kept.Spec, err)
	}
}

// The Role that the page gives for a namespace of a Tenant is that of the service in gatehouse-users.
func TestRoleForTenantNamespaceIsThatOfTheService(t *testing.T) {
	t.Parallel()
	generated, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := rightsIn(t, string(generated), "gatehouse-users")
	got := rightsIn(t, docsBlock(t, "rights.md", "tenant-rights.yaml"), "team-a-users")
	if len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("the page grants %v, the service has %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// rightsIn returns every single right that the Role of a namespace in some YAML grants.
func rightsIn(t *testing.T, text, namespace string) map[string]bool {
	t.Helper()
	rights := map[string]bool{}
	for document := range strings.SplitSeq(text, "\n---\n") {
		role := &rbacv1.Role{}
		if err := yaml.Unmarshal([]byte(document), role); err != nil {
			t.Fatal(err)
		}
		if role.Kind != "Role" || role.Namespace != namespace {
			continue
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					rights[strings.Join([]string{verb, rule.APIGroups[0], resource, strings.Join(rule.ResourceNames, ",")}, " ")] = true
				}
			}
		}
	}
	return rights
}

func TestAuditorRole(t *testing.T) {
	t.Parallel()
	newPerson(t, "auditor").test(
		map[string]attempt{"list Users": listUsers, "list Revocations": listRevocations, "list Tokens": listTokens},
		map[string]attempt{
			"list Secrets": listSecrets, "read a password": readSecret("", "jean"), "revoke a user": create(revocation("jean-2")),
			"let a user in again": remove(revocation("jean")), "change a User": patchUser(`{"spec":{"displayName":"x"}}`), "create a User": create(user("rosa")), "delete a User": remove(user("jean")),
			"lift a lock": patchStatus(`{"status":{"lockedUntil":null}}`), "revoke a token": patchToken("good", `{"spec":{"revoked":true}}`),
		})
}

func TestHelpdeskRole(t *testing.T) {
	t.Parallel()
	newPerson(t, "helpdesk").test(
		map[string]attempt{"list Users": listUsers, "lift a lock": patchStatus(`{"status":{"lockedUntil":null,"failedLogins":0}}`)},
		map[string]attempt{
			"list Secrets": listSecrets, "read a password": readSecret("", "jean"), "let a user in again": remove(revocation("jean")),
			"join a group": patchUser(`{"spec":{"groups":["gatehouse-admins"]}}`), "create a User": create(user("rosa")), "delete a User": remove(user("jean")),
			"change a User by its status": func(p *person) error {
				if err := p.own.Status().Patch(p.T.Context(), p.user.DeepCopy(), merge(`{"spec":{"groups":["gatehouse-admins"]}}`)); err != nil {
					return err
				}
				if len(p.ReadUser("jean").Spec.Groups) == 0 {
					return errIgnored
				}
				return nil
			},
		})
}

func TestRevokerRole(t *testing.T) {
	t.Parallel()
	newPerson(t, "revoker").test(
		map[string]attempt{
			"list Tokens": listTokens, "revoke a token": patchToken("good", `{"spec":{"revoked":true}}`),
			"list Users": listUsers, "revoke a user": create(revocation("jean-2")),
		},
		map[string]attempt{
			"let a user in again": remove(revocation("jean")),
			"list Secrets":        listSecrets, "read a password": readSecret("", "jean"),
			"change a User": patchUser(`{"spec":{"revoked":true}}`), "delete a User": remove(user("jean")),
			"lift a lock": patchStatus(`{"status":{"lockedUntil":null}}`),
		})
}

func TestTenantRole(t *testing.T) {
	t.Parallel()
	newPerson(t, "tenant").test(
		map[string]attempt{
			"create a User": create(user("rosa")), "create a Secret": create(secret("rosa")),
			"change a User": patchUser(`{"spec":{"groups":["developers"]}}`), "read a password": readSecret("", "jean"),
			"revoke a user": create(revocation("jean-2")), "let a user in again": remove(revocation("jean")),
		},
		map[string]attempt{
			"lift a lock": patchStatus(`{"status":{"lockedUntil":null}}`), "revoke a token": patchToken("good", `{"spec":{"revoked":true}}`),
			"delete all records": func(p *person) error {
				return p.own.DeleteAllOf(p.T.Context(), &authv1alpha1.Token{}, client.InNamespace(p.NS))
			},
		})
}

func TestOperatorRole(t *testing.T) {
	t.Parallel()
	newPerson(t, "operator").test(
		map[string]attempt{"list Pods": func(p *person) error {
			return p.own.List(p.T.Context(), &corev1.PodList{}, client.InNamespace(p.NS))
		}},
		map[string]attempt{
			"list Secrets": listSecrets, "read a password": readSecret("", "jean"), "list Users": listUsers, "list Tokens": listTokens,
			"change a User": patchUser(`{"spec":{"revoked":true}}`), "lift a lock": patchStatus(`{"status":{"lockedUntil":null}}`),
			"revoke a token": patchToken("good", `{"spec":{"revoked":true}}`), "create a Secret": create(secret("rosa")),
			"create a Pod": create(func(p *person) client.Object {
				return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.NS, Name: "shell"}}
			}),
		})
}
