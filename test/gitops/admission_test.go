package gitops

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// kustomize returns what kustomize build prints for a folder.
func kustomize(t *testing.T, folder string) string {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// as returns the client of a user with rights in the namespace of the users.
func (c *cluster) as(name string, rules ...rbacv1.PolicyRule) client.Client {
	c.Helper()
	meta := metav1.ObjectMeta{Namespace: usersNamespace, Name: name}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: rules}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}}
	binding.Subjects = []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}}
	for _, o := range []client.Object{role, binding} {
		if err := c.Create(c.Context(), o); err != nil {
			c.Fatal(err)
		}
	}
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: name}
	as, err := client.New(config, client.Options{Scheme: apitest.Scheme(c.T)})
	if err != nil {
		c.Fatal(err)
	}
	return as
}

// usersAndTokens is the right of those who write Users.
func usersAndTokens(more ...string) rbacv1.PolicyRule {
	verbs := append([]string{"get", "create", "patch", "update", "delete", "deletecollection"}, more...)
	return rbacv1.PolicyRule{APIGroups: []string{authv1alpha1.Group}, Resources: []string{"users", "tokens"}, Verbs: verbs}
}

func newToken(name string, revoked bool) *authv1alpha1.Token {
	now := time.Now().Truncate(time.Second)
	return &authv1alpha1.Token{
		ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: name},
		Spec: authv1alpha1.TokenSpec{
			UserRef: authv1alpha1.UserReference{Name: "nobody", UID: "1"}, TokenID: name, Kind: authv1alpha1.TokenOpaque,
			IssuedAt: metav1.NewMicroTime(now), ExpiresAt: metav1.NewMicroTime(now.Add(time.Hour)), Revoked: revoked,
		},
	}
}

// newUser returns a User from a spec in YAML.
func newUser(t *testing.T, name, spec string) *authv1alpha1.User {
	t.Helper()
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &u.Spec); err != nil {
		t.Fatal(err)
	}
	return u
}

const (
	untilThen  = `expiresAt: "2035-01-01T00:00:00Z"`
	aHash      = `{hashFrom: {secretKeyRef: {name: s, key: k}}}`
	aPlaintext = `{plaintextFrom: {secretKeyRef: {name: s, key: k}}}`
)

// TestAdmission asks the API server itself about the policies in config/components/admission.
func TestAdmission(t *testing.T) {
	c := newCluster(t)
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: usersNamespace}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), newUser(t, "old", "groups: [admins]\npasswords: ["+aPlaintext+"]")); err != nil {
		t.Fatal(err)
	}
	kubectl{}.Apply(c.Cluster, decode(t, kustomize(t, "../../config/overlays/admission")))
	team := c.as("team", usersAndTokens())
	probe := newToken("probe", true)
	if err := c.Create(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
	dry := client.NewDryRunClient(team)
	c.Eventually("all policies are in force", func() bool {
		for _, spec := range []string{"groups: [probe]\n" + untilThen, "passwords: [" + aPlaintext + "]\n" + untilThen, "{}"} {
			if dry.Create(t.Context(), newUser(t, "probe", spec)) == nil {
				return false
			}
		}
		return dry.Delete(t.Context(), probe) != nil
	})
	for _, sub := range []struct {
		name string
		test func(*cluster, client.Client)
	}{
		{"new Users", admissionOfNewUsers},
		{"revoked Tokens are kept", admissionKeepsRevokedTokens},
		{"old Users can be revoked", admissionLetsOldUsersBeRevoked},
		{"parameters", admissionFollowsItsParameters},
	} {
		t.Run(sub.name, func(t *testing.T) { sub.test(c.in(t), team) })
	}
}

func admissionOfNewUsers(c *cluster, team client.Client) {
	admin := c.as("admin", usersAndTokens("assign-any-group"))
	for name, tc := range map[string]struct {
		who        client.Client
		spec, want string
	}{
		"a listed group":                      {team, "groups: [operators]", ""},
		"a listed prefix":                     {team, "groups: [team-a]", ""},
		"no group":                            {team, "displayName: Jean", ""},
		"a group that is not listed":          {team, "groups: [operators, admins]", "may not be in admins"},
		"a group that begins like another":    {team, "groups: [operators-in-chief]", "may not be in operators-in-chief"},
		"any group, for those who run this":   {admin, "groups: [admins]", ""},
		"a hash":                              {team, "passwords: [" + aHash + "]", ""},
		"an identity":                         {team, "identities: [{serviceAccount: {name: a, namespace: b}}]", ""},
		"a plaintext":                         {team, "passwords: [" + aPlaintext + "]", "may not have plaintextFrom"},
		"a plaintext, for those who run this": {admin, "passwords: [" + aPlaintext + "]", "may not have plaintextFrom"},
	} {
		err := client.NewDryRunClient(tc.who).Create(c.Context(), newUser(c.T, "new", tc.spec+"\n"+untilThen))
		checkAdmission(c.T, name, err, tc.want)
	}
	err := client.NewDryRunClient(team).Create(c.Context(), newUser(c.T, "new", "passwords: ["+aHash+"]"))
	checkAdmission(c.T, "an account without an end", err, "must have spec.expiresAt")
}

func checkAdmission(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: refused with %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want a refusal that says %q", name, err, want)
	}
}

func admissionFollowsItsParameters(c *cluster, team client.Client) {
	dry := client.NewDryRunClient(team)
	parameters := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: "gatehouse-admission"}}
	change := func(patch string) {
		c.Helper()
		if err := c.Patch(c.Context(), parameters, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			c.Fatal(err)
		}
	}
	says := func(spec, want string) {
		c.Helper()
		var last error
		defer func() {
			if c.Failed() {
				c.Logf("the last answer was %v", last)
			}
		}()
		c.Eventually(spec+": "+want, func() bool {
			last = dry.Create(c.Context(), newUser(c.T, "new", spec))
			return want == "" && last == nil || want != "" && last != nil && strings.Contains(last.Error(), want)
		})
	}
	change(`{"data":{"plaintext":"allowed","expiry":"passwords","groups":"auditors"}}`)
	says("groups: [auditors]\npasswords: [{plaintextFrom: {secretKeyRef: {name: s, key: k}}, "+untilThen+"}]", "")
	says("groups: [operators]", "may not be in operators")
	says("passwords: ["+aPlaintext+"]", "each password")
	change(`{"data":{"expiry":"nothing"}}`)
	says("passwords: ["+aPlaintext+"]", "")
	change(`{"data":{"expiry":"sometime"}}`)
	says("passwords: ["+aPlaintext+"]", "expiry of the ConfigMap gatehouse-admission is sometime")
	if err := c.Delete(c.Context(), parameters); err != nil {
		c.Fatal(err)
	}
	says(untilThen, "no params found")
}

// What a User has from before the rules is left alone, so that it can be revoked.
func admissionLetsOldUsersBeRevoked(c *cluster, team client.Client) {
	old := newUser(c.T, "old", "")
	patch := func(text string) error {
		return team.Patch(c.Context(), old.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(text)))
	}
	checkAdmission(c.T, "a revocation", patch(`{"spec":{"revoked":true}}`), "")
	checkAdmission(c.T, "one group less", patch(`{"spec":{"groups":[]}}`), "")
	checkAdmission(c.T, "the group again", patch(`{"spec":{"groups":["admins"]}}`), "may not be in admins")
	checkAdmission(c.T, "another plaintext", patch(`{"spec":{"expiresAt":"2035-01-01T00:00:00Z","passwords":[{"name":"b","plaintextFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}}`), "may not have plaintextFrom")
}

func admissionKeepsRevokedTokens(c *cluster, team client.Client) {
	service := c.as("service", usersAndTokens("remove-revoked"))
	for _, name := range []string{"good", "revoked"} {
		if err := c.Create(c.Context(), newToken(name, name == "revoked")); err != nil {
			c.Fatal(err)
		}
	}
	checkAdmission(c.T, "a revoked Token", team.Delete(c.Context(), newToken("revoked", true)), "the token is revoked")
	all := client.NewDryRunClient(team).DeleteAllOf(c.Context(), &authv1alpha1.Token{}, client.InNamespace(usersNamespace))
	if all == nil {
		c.Error("all Tokens of the namespace can be deleted at once")
	}
	checkAdmission(c.T, "a Token that is not revoked", team.Delete(c.Context(), newToken("good", false)), "")
	checkAdmission(c.T, "a revoked Token, for the service", service.Delete(c.Context(), newToken("revoked", true)), "")
}
