package cmd

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/tolerant"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// explainedPassword is the password of the User whom the tests explain, unless a case has another.
const explainedPassword = "a password of the test"

// tooMuchMemory is a hash that takes 512 MiB, more than the service of the tests has for hashes.
const tooMuchMemory = "$argon2id$v=19$m=524288,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"

// explainCase is a User with the status that the service gives it and what explain says about it.
type explainCase struct {
	spec       string                 // the fields of the spec in YAML
	status     string                 // a patch of the status, as a lock makes it
	revocation bool                   // a Revocation concerns the User
	state      authv1alpha1.UserState // what the service makes of it
	looser     bool                   // the CRD takes any text for a time while the User is created
	reason     string                 // of LoginAllowed
	remark     string                 // another condition that must be True
	password   string                 // what logs in; "-" if there is no password to try
	can        bool                   // the user can log in
	want       []string               // parts of the explanation
}

// hashed and plain are lists of passwords, with one that a key of the Secret holds.
func hashed(key string) string {
	return "passwords: [{hashFrom: {secretKeyRef: {name: explained, key: " + key + "}}}]"
}

func plain(key string) string {
	return "passwords: [{plaintextFrom: {secretKeyRef: {name: explained, key: " + key + "}}}]"
}

// explainCases has at least one case for each state and each reason in docs/users.md.
func explainCases() map[string]explainCase {
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	return map[string]explainCase{
		"active":     {spec: plain("password"), state: "Active", reason: "Active", can: true, want: []string{"✓ not revoked", "✓ passwords[default] is a password in plain text"}},
		"revoked":    {spec: "revoked: true, " + plain("password"), state: "Revoked", reason: "Revoked", want: []string{"✗ revoked by spec.revoked", "-> set spec.revoked to false"}},
		"revocation": {spec: plain("password"), revocation: true, state: "Revoked", reason: "Revoked", want: []string{"✗ revoked by Revocation", "laptop stolen", "delete revocations"}},
		"expired": {spec: `expiresAt: "2020-01-01T00:00:00Z", ` + plain("password"), state: "Expired", reason: "Expired", want: []string{
			"✗ the account expired at 2020-01-01T00:00:00Z", "user expire explained"}},
		"a login of another User": {spec: "login: holder, " + plain("password"), state: "Invalid", reason: "LoginConflict", want: []string{
			"✗ the older User gatehouse-users/holder already has the login", "-> set another spec.login"}},
		"no credential":      {spec: "", state: "Invalid", reason: "NoPassword", want: []string{"✗ spec.passwords and spec.identities are empty", "user set-password explained"}},
		"an empty plaintext": {spec: plain("empty"), state: "Invalid", reason: "NoPassword", want: []string{"✗ passwords[default]: key \"empty\"", "store the password there"}},
		"no Secret": {spec: "passwords: [{hashFrom: {secretKeyRef: {name: missing, key: a}}}]", state: "Invalid", reason: "SecretNotFound", want: []string{
			`✗ passwords[default]: Secret "missing" not found`}},
		"a Secret that the service does not read": {spec: "passwords: [{plaintextFrom: {secretKeyRef: {name: explained-tls, key: tls.key}}}]", state: "Invalid", reason: "SecretNotFound",
			want: []string{`✗ passwords[default]: the service says: Secret "explained-tls" not found`}},
		"no key":          {spec: hashed("missing"), state: "Invalid", reason: "SecretKeyNotFound", want: []string{`✗ passwords[default]: Secret "explained" has no key "missing"`}},
		"a large value":   {spec: hashed("large"), state: "Invalid", reason: "SecretValueTooLarge", want: []string{`✗ passwords[default]: key "large"`, "longer than 4096 bytes"}},
		"a long password": {spec: plain("long"), state: "Invalid", reason: "SecretValueTooLarge", want: []string{`✗ passwords[default]: key "long"`, "longer than 1024 bytes"}},
		"a broken hash":   {spec: hashed("broken"), state: "Invalid", reason: "InvalidHash", want: []string{`✗ passwords[default]: key "broken"`}},
		"a hash that takes too much memory": {spec: hashed("memory"), state: "Invalid", reason: "HashTooLarge", want: []string{
			`✗ passwords[default]: the service says: key "memory"`, "raise the memory limit"}},
		"unreadable": {spec: `expiresAt: "2031-02-31T00:00:00Z", ` + plain("password"), looser: true, state: "Invalid", reason: "Unreadable", want: []string{
			"✗ the stored object breaks the schema and counts as revoked: spec.expiresAt", "-> correct these fields"}},
		"an expired password": {spec: strings.Replace(plain("password"), "[{", `[{expiresAt: "2020-01-01T00:00:00Z", `, 1), state: "PasswordExpired", reason: "PasswordExpired", want: []string{
			"✗ passwords[default] expired at 2020-01-01T00:00:00Z", "user set-password"}},
		"locked": {spec: hashed("hash"), status: `{"status":{"lockedUntil":"9999-12-31T23:59:59Z"}}`, state: "Locked", reason: "Locked", want: []string{
			"✗ locked until someone lifts the lock", "user unlock explained"}},
		"a lock that concerns no plaintext": {spec: plain("password"), status: `{"status":{"lockedUntil":"2099-12-31T23:59:59Z"}}`, state: "Locked", reason: "Locked", can: true, want: []string{
			"! locked until 2099-12-31T23:59:59Z", "refuses hashes"}},
		"one of two is broken": {spec: "passwords: [{hashFrom: {secretKeyRef: {name: explained, key: broken}}}, {name: good, plaintextFrom: {secretKeyRef: {name: explained, key: password}}}]",
			state: "Active", reason: "InvalidHash", can: true, want: []string{"! passwords[default]: key", "✓ passwords[good]"}},
		"an identity": {spec: "identities: [{serviceAccount: {name: billing, namespace: shop}}]", state: "Active", reason: "Active", password: "-", can: true, want: []string{"✓ identities[0] (serviceaccount:shop:billing) logs in"}},
		"an identity of another User": {spec: "identities: [{serviceAccount: {name: taken, namespace: shop}}]", state: "Active", reason: "IdentityConflict", remark: "IdentityConflict", password: "-", want: []string{
			"✗ identities[0] (serviceaccount:shop:taken) belongs to the older User gatehouse-users/holder", "-> remove it"}},
		"one identity of another User": {spec: "identities: [{serviceAccount: {name: billing, namespace: shop}}, {serviceAccount: {name: taken, namespace: shop}}]",
			state: "Active", reason: "IdentityConflict", remark: "IdentityConflict", password: "-", can: true, want: []string{
				"✓ identities[0] (serviceaccount:shop:billing)", "! identities[1] (serviceaccount:shop:taken) belongs to"}},
		"an identity of an untrusted issuer": {spec: `identities: [{federated: {issuer: https://ci.test, subject: "repo:shop", claims: {environment: production}}}]`,
			state: "Active", reason: "Active", remark: "IdentityUntrusted", password: "-", want: []string{`✗ identities[0] ("repo:shop" of https://ci.test): the service does not trust the issuer`, "--trusted-issuers"}},
		"a weak hash": {spec: hashed("hash"), state: "Active", reason: "Active", remark: "WeakHash", can: true, want: []string{"! passwords[default]", "user set-password"}},
		"a newline":   {spec: plain("newline"), state: "Active", reason: "Active", remark: "PlaintextNewline", password: explainedPassword + "\n", can: true, want: []string{"! PlaintextNewline"}},
		"a short one": {spec: plain("short"), state: "Active", reason: "Active", remark: "WeakPlaintext", password: "short", can: true, want: []string{"! WeakPlaintext"}},
		"void tokens": {spec: `tokensValidAfter: "2099-01-01T00:00:00Z", ` + plain("password"), state: "Active", reason: "Active", remark: "TokensVoid", can: true, want: []string{
			"! every token is void until spec.tokensValidAfter, 2099-01-01T00:00:00Z"}},
		"an expiry in an hour": {spec: strings.Replace(plain("password"), "[{", `[{expiresAt: "`+soon+`", `, 1), state: "Active", reason: "Active", remark: "PasswordExpiring", can: true,
			want: []string{"✓ passwords[default] is a password in plain text, expires at " + soon, "! PasswordExpiring"}},
	}
}

func TestExplainIsRightForEachStateAndReason(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(512 << 20)) // the service takes half of it for hashes
	p := newPlugin(t)
	p.holder()
	seen := &sync.Map{}
	for name, c := range explainCases() {
		t.Run(name, func(t *testing.T) {
			sub := *p
			sub.T = t
			sub.explains(c, seen)
		})
	}
	t.Run("what its Tenant does not permit", func(t *testing.T) {
		sub := *p
		sub.T = t
		sub.explainsNotPermitted(seen)
	})
	t.Run("not looked at yet", func(t *testing.T) {
		sub := *p
		sub.T = t
		sub.explainsPending(seen)
	})
	for _, documented := range documentedStates(t) {
		if _, ok := seen.Load(documented); !ok {
			t.Errorf("docs/users.md has %s, and no case shows it", documented)
		}
	}
}

// holder declares the older User that others are in conflict with.
func (p *plugin) holder() {
	p.Helper()
	p.remove("holder")
	holder := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: "gatehouse-users", Name: "holder"}}
	if err := yaml.UnmarshalStrict([]byte("identities: [{serviceAccount: {name: taken, namespace: shop}}]"), &holder.Spec); err != nil {
		p.Fatal(err)
	}
	if err := p.api.Create(p.Context(), holder); err != nil {
		p.Fatal(err)
	}
	apitest.Eventually(p.T, "the next User is younger", func() bool { return time.Since(holder.CreationTimestamp.Time) > time.Second })
}

// secrets creates the Secrets that the cases refer to.
func (p *plugin) secrets() {
	p.Helper()
	meta := metav1.ObjectMeta{Namespace: "gatehouse-users", Name: "explained"}
	values := &corev1.Secret{ObjectMeta: meta, StringData: map[string]string{
		"password": explainedPassword, "newline": explainedPassword + "\n", "short": "short", "empty": "", "long": strings.Repeat("x", 1025),
		"hash": apitest.WeakHash(p, explainedPassword), "broken": "$argon2id$broken", "large": strings.Repeat("x", 4097), "memory": tooMuchMemory,
	}}
	meta.Name = "explained-tls"
	unread := &corev1.Secret{ObjectMeta: meta, Type: corev1.SecretTypeTLS, StringData: map[string]string{"tls.crt": "", "tls.key": explainedPassword}}
	for _, secret := range []*corev1.Secret{values, unread} {
		if err := client.IgnoreAlreadyExists(p.api.Create(p.Context(), secret)); err != nil {
			p.Fatal(err)
		}
	}
}

// manifest returns a User as kubectl reads it, without types.
func (p *plugin) manifest(namespace, name, spec string) *unstructured.Unstructured {
	p.Helper()
	o := &unstructured.Unstructured{}
	text := fmt.Sprintf("{apiVersion: auth.gatehouse.dev/v1alpha1, kind: User, metadata: {name: %s, namespace: %s}, spec: {%s}}", name, namespace, spec)
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		p.Fatalf("%v in %s", err, text)
	}
	return o
}

// declare creates the User explained.
func (p *plugin) declare(namespace, spec string) client.ObjectKey {
	p.Helper()
	o := p.manifest(namespace, "explained", spec)
	if err := p.api.Create(p.Context(), o); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = p.api.Delete(context.Background(), o) })
	return client.ObjectKeyFromObject(o)
}

// explains declares the User of a case and requires that its explanation is right, and that the user
// can log in if and only if it says so. It adds the state and the reasons to seen.
func (p *plugin) explains(c explainCase, seen *sync.Map) {
	p.Helper()
	p.remove("explained")
	p.secrets()
	if c.looser {
		defer p.loosen()()
	}
	key := p.declare("gatehouse-users", c.spec)
	if c.revocation {
		if out, _ := p.must("user", "revoke", "explained", "--reason", "laptop stolen", "--wait"); !strings.Contains(out, "is revoked") {
			p.Errorf("user revoke prints %q", out)
		}
	}
	if c.status != "" {
		p.Eventually("the service has looked at the User", func() bool { return p.user(key).Status.State != "" })
		if err := p.api.Status().Patch(p.Context(), p.user(key), client.RawPatch("application/merge-patch+json", []byte(c.status))); err != nil {
			p.Fatal(err)
		}
	}
	var u *authv1alpha1.User
	p.Eventually("the User is "+string(c.state)+" for "+c.reason+" with "+c.remark, func() bool {
		u = p.user(key)
		return u.Status.State == c.state && apitest.Condition(u, authv1alpha1.ConditionLoginAllowed).Reason == c.reason &&
			(c.remark == "" || apitest.Condition(u, c.remark).Status == metav1.ConditionTrue)
	})
	note(u, seen)
	p.explanation(c.can, c.want)
	if out, _ := p.must("user", "list", "-o", "yaml"); !strings.Contains(out, "name: explained") || strings.Contains(out, authv1alpha1.Group+"/unreadable") {
		p.Errorf("user list prints\n%s", out)
	}
	if password := c.password; password != "-" {
		if password == "" {
			password = explainedPassword
		}
		if got := p.logsIn(u.EffectiveLogin(), password); got != c.can {
			p.Errorf("the explanation says that the user can log in: %t, and the service: %t", c.can, got)
		}
	}
}

// loosen makes the CRD take any text of the form of a time for spec.expiresAt, as that of an older
// version may have done, until the returned function is called.
func (p *plugin) loosen() (restore func()) {
	p.Helper()
	const format = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/expiresAt/format"
	definition := &unstructured.Unstructured{}
	definition.SetAPIVersion("apiextensions.k8s.io/v1")
	definition.SetKind("CustomResourceDefinition")
	definition.SetName("users.auth.gatehouse.dev")
	change := func(patch string, accepts bool) {
		if err := p.api.Patch(context.Background(), definition, client.RawPatch(types.JSONPatchType, []byte(patch))); err != nil {
			p.Fatal(err)
		}
		p.Eventually("the API server applies the definition", func() bool {
			probe := p.manifest("gatehouse-users", "probe", `expiresAt: "2031-02-31T00:00:00Z"`)
			return (p.api.Create(context.Background(), probe, client.DryRunAll) == nil) == accepts
		})
	}
	change(`[{"op": "remove", "path": "`+format+`"}]`, true)
	return func() { change(`[{"op": "add", "path": "`+format+`", "value": "date-time"}]`, false) }
}

// user reads a User, also one that is unreadable.
func (p *plugin) user(key client.ObjectKey) *authv1alpha1.User {
	p.Helper()
	u := &authv1alpha1.User{}
	if err := tolerant.NewReader(p.api).Get(p.Context(), key, u); err != nil {
		p.Fatal(err)
	}
	return u
}

// note adds the state and the conditions of a User to seen.
func note(u *authv1alpha1.User, seen *sync.Map) {
	seen.Store("state "+string(u.Status.State), true)
	for _, c := range u.Status.Conditions {
		seen.Store(fmt.Sprintf("%s %s %s", c.Type, c.Status, c.Reason), true)
	}
}

// explanation requires that the explanation of the User explained has a verdict and further parts.
func (p *plugin) explanation(can bool, want []string, args ...string) {
	p.Helper()
	out, _ := p.must(append([]string{"user", "explain", "explained"}, args...)...)
	verdict, _, _ := strings.Cut(out, "\n")
	if strings.HasSuffix(verdict, "can log in.") != can || strings.HasSuffix(verdict, "cannot log in.") == can {
		p.Errorf("the verdict is %q, want that the user can log in: %t\n%s", verdict, can, out)
	}
	for _, text := range want {
		if !strings.Contains(out, text) {
			p.Errorf("the explanation lacks %q:\n%s", text, out)
		}
	}
	if strings.Contains(out, explainedPassword) || strings.Contains(out, "$argon2id$") || strings.Contains(out, "$2a$") {
		p.Error("the explanation shows a password or a hash")
	}
}

// explainsNotPermitted explains a User that the Tenant of its namespace does not permit.
func (p *plugin) explainsNotPermitted(seen *sync.Map) {
	p.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}
	if err := p.api.Create(p.Context(), ns); err != nil {
		p.Fatal(err)
	}
	tenant := &authv1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Namespace: "gatehouse-system", Name: ns.Name}}
	tenant.Spec.Namespaces, tenant.Spec.Logins.Exact = []string{ns.Name}, []string{"allowed"}
	if err := p.api.Create(p.Context(), tenant); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = p.api.Delete(context.Background(), tenant) })
	key := p.declare(ns.Name, "identities: [{serviceAccount: {name: billing, namespace: shop}}]")
	p.Eventually("the User is not permitted", func() bool {
		return apitest.Condition(p.user(key), authv1alpha1.ConditionLoginAllowed).Reason == authv1alpha1.ReasonNotPermitted
	})
	note(p.user(key), seen)
	p.explanation(false, []string{`✗ Tenant "` + ns.Name + `" does not permit the login "explained"`}, "-n", ns.Name)
}

// explainsPending explains a User in a namespace that no service watches.
func (p *plugin) explainsPending(seen *sync.Map) {
	p.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "unwatched-"}}
	if err := p.api.Create(p.Context(), ns); err != nil {
		p.Fatal(err)
	}
	key := p.declare(ns.Name, "identities: [{serviceAccount: {name: billing, namespace: shop}}]")
	note(p.user(key), seen)
	p.explanation(false, []string{"✗ the service has not looked at this User yet", "watches this namespace"}, "-n", ns.Name)
	for _, c := range []metav1.Condition{
		{Status: metav1.ConditionFalse, Reason: authv1alpha1.ReasonPending, Message: "not yet in force on: gatehouse-a"},
		{Status: metav1.ConditionFalse, Reason: authv1alpha1.ReasonReplicaUnheard, Message: "not heard of: gatehouse-b"},
		{Status: metav1.ConditionUnknown, Reason: authv1alpha1.ReasonNotComparable, Message: "not numbers"},
	} {
		p.explainsEnforced(key, c, seen)
	}
}

// explainsEnforced explains a User that no service watches with a condition Enforced.
func (p *plugin) explainsEnforced(key client.ObjectKey, c metav1.Condition, seen *sync.Map) {
	p.Helper()
	u := p.user(key)
	before := u.DeepCopy()
	c.Type, c.LastTransitionTime = authv1alpha1.ConditionEnforced, metav1.Now()
	u.Status.Conditions = []metav1.Condition{c}
	if err := p.api.Status().Patch(p.Context(), u, client.MergeFrom(before)); err != nil {
		p.Fatal(err)
	}
	note(p.user(key), seen)
	p.explanation(false, []string{"Enforced", c.Message}, "-n", key.Namespace)
}

// rows matches the rows of the two tables of states and conditions, and reasons the names in a cell.
var (
	rows    = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (True|False|Unknown) \\| (`[^|]*) \\|")
	states  = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]+ \\| [^|]*\\|$")
	reasons = regexp.MustCompile("`(\\w+)`")
)

// documentedStates returns all states, and all conditions with status and reason, of docs/users.md.
func documentedStates(t *testing.T) (all []string) {
	t.Helper()
	page, err := os.ReadFile("../docs/users.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "the status shows the first one in this table.")
	text, conditions, _ := strings.Cut(text, "### Conditions")
	for _, m := range states.FindAllStringSubmatch(text, -1) {
		all = append(all, "state "+m[1])
	}
	for _, m := range rows.FindAllStringSubmatch(conditions, -1) {
		for _, reason := range reasons.FindAllStringSubmatch(m[3], -1) {
			all = append(all, fmt.Sprintf("%s %s %s", m[1], m[2], reason[1]))
		}
	}
	if len(all) < 30 {
		t.Fatalf("found only %d states and reasons in docs/users.md: %q", len(all), all)
	}
	return all
}

// TestExplainWithoutRights explains to an auditor, who may read Users and neither Secrets nor
// Revocations.
func TestExplainWithoutRights(t *testing.T) {
	p := newPlugin(t)
	p.remove("explained")
	p.secrets()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "gatehouse-users", Name: "explain-auditor"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{authv1alpha1.Group}, Resources: []string{"users"}, Verbs: []string{"get", "list"}},
	}}
	binding := &rbacv1.RoleBinding{ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "auditor"}}}
	for _, o := range []client.Object{role, binding} {
		if err := client.IgnoreAlreadyExists(p.api.Create(t.Context(), o)); err != nil {
			t.Fatal(err)
		}
	}
	key := p.declare("gatehouse-users", "passwords: [{hashFrom: {secretKeyRef: {name: explained, key: hash}}}, {name: laptop, hashFrom: {secretKeyRef: {name: explained, key: broken}}}]")
	p.Eventually("the service has looked at the User", func() bool { return p.user(key).Status.State == authv1alpha1.UserActive })
	p.explanation(true, []string{
		`! passwords[default] is in Secret "explained", which you may not read; the service reports no fault`,
		`! passwords[laptop]: the service says: key "broken"`,
	}, "--as", "auditor")
	p.must("user", "revoke", "explained", "--reason", "laptop stolen", "--wait")
	p.explanation(false, []string{"✗ revoked, and you may not read the Revocations; the service says: Revocation"}, "--as", "auditor")
}
