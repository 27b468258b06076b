package tenancy

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

func tenant(t *testing.T, name, spec string) authv1alpha1.Tenant {
	t.Helper()
	out := authv1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Namespace: "gatehouse-system", Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &out.Spec); err != nil {
		t.Fatal(err)
	}
	return out
}

func user(t *testing.T, spec string) *authv1alpha1.User {
	t.Helper()
	out := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a-users", Name: "jean"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &out.Spec); err != nil {
		t.Fatal(err)
	}
	return out
}

func settings() Settings {
	return Settings{Namespaces: []string{"gatehouse-users", "more"}, System: "gatehouse-system", AdminGroups: []string{"gatehouse-admins"}}
}

const teamA = `{namespaces: [team-a-users], logins: {suffixes: ["@team-a.example.com"], exact: [deploy]},
	groups: {prefixes: ["team-a:", "gatehouse-"], exact: [developers]},
	identities: {serviceAccountNamespaces: [team-a], federated: [{issuer: https://ci.test, subjectPrefix: "repo:acme/team-a-"}]},
	maximumLifetime: 24h}`

func TestTenantPermits(t *testing.T) {
	t.Parallel()
	policy := New(settings(), []authv1alpha1.Tenant{tenant(t, "team-a", teamA)}).Policy("team-a-users")
	for spec, want := range map[string]string{
		`{login: jean@team-a.example.com, groups: [developers, "team-a:ops"]}`: "",
		`{login: deploy}`:                                                               "",
		`{login: иван@team-a.example.com}`:                                              `the login "иван@team-a.example.com"`,
		`{login: jean@team-b.example.com}`:                                              `the login "jean@team-b.example.com"`,
		`{login: "@team-a.example.com"}`:                                                `the login "@team-a.example.com"`,
		`{}`:                                                                            `the login "jean"`,
		`{login: jean@team-a.example.com.evil}`:                                         "the login",
		`{login: "jеan@team-a.example.com"}`:                                            "the login", // with a Cyrillic letter
		`{login: "ｊean@team-a.example.com"}`:                                            "the login", // with a full-width letter
		`{login: deploy, groups: [gatehouse-admins]}`:                                   `group "gatehouse-admins"`,
		`{login: deploy, groups: [Gatehouse-Admins]}`:                                   "group",
		`{login: deploy, groups: [gatehouse-admlns]}`:                                   "group",
		`{login: deploy, groups: [gatehouse-ádmins]}`:                                   "group",
		`{login: deploy, groups: [gatehouse-readers]}`:                                  "",
		`{login: deploy, groups: ["team-a:"]}`:                                          "group",
		`{login: deploy, groups: [wheel, operators]}`:                                   `group "wheel", group "operators"`,
		`{login: deploy, identities: [{serviceAccount: {name: x, namespace: team-a}}]}`: "",
		`{login: deploy, identities: [{serviceAccount: {name: x, namespace: team-b}}]}`: `identities[0] (ServiceAccounts of namespace "team-b")`,
		`{login: deploy, identities: [{federated: {issuer: https://ci.test, subject: "repo:acme/team-a-web"}}]}`:  "",
		`{login: deploy, identities: [{federated: {issuer: https://ci.test, subject: "repo:acme/team-b"}}]}`:      "identities[0]",
		`{login: deploy, identities: [{federated: {issuer: https://ci.other, subject: "repo:acme/team-a-web"}}]}`: "identities[0]",
	} {
		if got := policy.Check(user(t, spec)); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
}

func TestNoTenantPermitsEverythingOrNothing(t *testing.T) {
	t.Parallel()
	c := New(settings(), nil)
	everything := user(t, `{login: root, groups: [gatehouse-admins]}`)
	if got := c.Policy("more").Check(everything); got != "" {
		t.Errorf("a namespace of --namespaces: %s", got)
	}
	if got := c.Policy("elsewhere").Check(everything); got == "" {
		t.Error("a User in no namespace of the service is permitted")
	}
}

func TestExactNamesAdminGroup(t *testing.T) {
	t.Parallel()
	spec := `{namespaces: [ops], logins: {exact: [deploy]}, groups: {exact: [gatehouse-admins]}}`
	policy := New(settings(), []authv1alpha1.Tenant{tenant(t, "ops", spec)}).Policy("ops")
	if got := policy.Check(user(t, `{login: deploy, groups: [gatehouse-admins]}`)); got != "" {
		t.Error(got)
	}
}

func TestTenantLimitsLifetime(t *testing.T) {
	t.Parallel()
	c := New(settings(), []authv1alpha1.Tenant{tenant(t, "team-a", teamA)})
	for own, want := range map[time.Duration]time.Duration{0: 24 * time.Hour, time.Hour: time.Hour, 48 * time.Hour: 24 * time.Hour} {
		if got := c.Policy("team-a-users").LimitLifetime(own); got != want {
			t.Errorf("maximum of %s: %s, want %s", own, got, want)
		}
	}
	if got := c.Policy("more").LimitLifetime(time.Minute); got != time.Minute {
		t.Errorf("without a Tenant: %s", got)
	}
}

// What two Tenants both allow is neither's, in whatever order they are given, and the rest stays.
func TestTwoTenantsThatAllowTheSame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ a, b, contested, fine string }{
		"a suffix": {
			`{namespaces: [team-a-users], logins: {suffixes: ["@x.test"], exact: [deploy]}}`, `{namespaces: [b], logins: {suffixes: ["@x.test"]}}`,
			`{login: jean@x.test}`, `{login: deploy}`,
		},
		"a longer suffix": {
			`{namespaces: [team-a-users], logins: {suffixes: ["@x.test"]}}`, `{namespaces: [b], logins: {suffixes: ["-bot@x.test"]}}`,
			`{login: my-bot@x.test}`, `{login: jean@x.test}`,
		},
		"a login under a suffix": {
			`{namespaces: [team-a-users], logins: {suffixes: ["@x.test"]}}`, `{namespaces: [b], logins: {exact: [jean@x.test]}}`,
			`{login: jean@x.test}`, `{login: rosa@x.test}`,
		},
		"a login": {
			`{namespaces: [team-a-users], logins: {exact: [deploy, jean]}}`, `{namespaces: [b], logins: {exact: [deploy]}}`,
			`{login: deploy}`, `{login: jean}`,
		},
		"ServiceAccounts": {
			`{namespaces: [team-a-users], logins: {exact: [deploy]}, identities: {serviceAccountNamespaces: [x, y]}}`,
			`{namespaces: [b], logins: {exact: [other]}, identities: {serviceAccountNamespaces: [x]}}`,
			`{login: deploy, identities: [{serviceAccount: {name: s, namespace: x}}]}`, `{login: deploy, identities: [{serviceAccount: {name: s, namespace: y}}]}`,
		},
		"subjects": {
			`{namespaces: [team-a-users], logins: {exact: [deploy]}, identities: {federated: [{issuer: https://ci.test, subjectPrefix: "repo:"}]}}`,
			`{namespaces: [b], logins: {exact: [other]}, identities: {federated: [{issuer: https://ci.test, subjectPrefix: "repo:b/"}]}}`,
			`{login: deploy, identities: [{federated: {issuer: https://ci.test, subject: "repo:b/x"}}]}`,
			`{login: deploy, identities: [{federated: {issuer: https://ci.test, subject: "repo:a/x"}}]}`,
		},
		"a namespace": {
			`{namespaces: [team-a-users], logins: {exact: [deploy]}}`, `{namespaces: [team-a-users], logins: {exact: [other]}}`, `{login: deploy}`, ``,
		},
	} {
		a, b := tenant(t, "a", c.a), tenant(t, "b", c.b)
		for _, order := range [][]authv1alpha1.Tenant{{a, b}, {b, a}} {
			config := New(settings(), order)
			if len(config.Problems("a")) != 1 || len(config.Problems("b")) != 1 {
				t.Errorf("%s: problems %q and %q, want one of each Tenant", name, config.Problems("a"), config.Problems("b"))
			}
			policy := config.Policy("team-a-users")
			if policy.Check(user(t, c.contested)) == "" {
				t.Errorf("%s: a User has what both Tenants allow", name)
			}
			if c.fine != "" && policy.Check(user(t, c.fine)) != "" {
				t.Errorf("%s: %s", name, policy.Check(user(t, c.fine)))
			}
		}
	}
}

func TestTenantsThatDoNotMeet(t *testing.T) {
	t.Parallel()
	a := tenant(t, "a", `{namespaces: [a], logins: {suffixes: ["@a.test"]}, groups: {exact: [x]}, identities: {federated: [{issuer: https://ci.test, subjectPrefix: "repo:a/"}]}}`)
	b := tenant(t, "b", `{namespaces: [b], logins: {suffixes: ["@b.test"], exact: ["@a.test"]}, groups: {exact: [x]}, identities: {federated: [{issuer: https://other.test, subjectPrefix: "repo:a/"}]}}`)
	c := New(settings(), []authv1alpha1.Tenant{a, b})
	if got := slices.Concat(c.Problems("a"), c.Problems("b")); len(got) != 0 {
		t.Errorf("problems %q", got)
	}
}

func TestNamespacesThatNoTenantMayHave(t *testing.T) {
	t.Parallel()
	c := New(settings(), []authv1alpha1.Tenant{tenant(t, "a", `{namespaces: [more, gatehouse-system, a], logins: {exact: [x]}}`)})
	if got := c.Problems("a"); len(got) != 2 {
		t.Errorf("problems %q, want two", got)
	}
	if p := c.Policy("more"); p.Tenant != "" || p.Check(user(t, `{login: anything}`)) != "" {
		t.Errorf("the namespace of --namespaces is the Tenant's: %+v", p)
	}
	if c.Policy("gatehouse-system") != nil || c.Policy("a").Tenant != "a" {
		t.Error("the namespaces are not those that the Tenant may have")
	}
}

func TestRankFollowsConfigurationAlone(t *testing.T) {
	t.Parallel()
	c := New(settings(), []authv1alpha1.Tenant{tenant(t, "a", `{namespaces: [z, a], logins: {exact: [x]}}`)})
	ranks := []int{c.Policy("gatehouse-users").Rank, c.Policy("more").Rank, c.Policy("z").Rank, c.Policy("a").Rank}
	if !slices.IsSorted(ranks) || len(slices.Compact(ranks)) != 4 {
		t.Errorf("ranks %v, want ascending ones", ranks)
	}
}

func TestChangedNamesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	a, b := tenant(t, "a", `{namespaces: [a], logins: {suffixes: ["@a.test"]}}`), tenant(t, "b", `{namespaces: [b], logins: {suffixes: ["@b.test"]}}`)
	one, both := New(settings(), []authv1alpha1.Tenant{a}), New(settings(), []authv1alpha1.Tenant{a, b})
	if got := Changed(one, both); !slices.Equal(got, []string{"b"}) {
		t.Errorf("one more Tenant changes %v", got)
	}
	if got := Changed(both, New(settings(), []authv1alpha1.Tenant{*a.DeepCopy(), *b.DeepCopy()})); len(got) != 0 {
		t.Errorf("nothing changes %v", got)
	}
	b.Spec.Logins.Suffixes = []string{"@a.test"}
	if got := Changed(both, New(settings(), []authv1alpha1.Tenant{a, b})); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("a conflict changes %v, want both", got)
	}
}
