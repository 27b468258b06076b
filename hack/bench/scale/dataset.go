package scale

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// layout is how the hashes of the users are spread over Secrets.
type layout string

const (
	each   layout = "each"   // one Secret for each user
	shared layout = "shared" // 500 users' hashes in one Secret
	// tenants is each, with 100 users in each namespace, which belongs to a Tenant of its own.
	tenants layout = "tenants"
)

// format is the version of what a dataset looks like. A cached etcd of another format is not used.
const format = "2"

const (
	usersNamespace   = "gatehouse-users"
	serviceNamespace = "gatehouse-system"
	perSharedSecret  = 500
	perTenant        = 100
	minUsers         = 1000

	// probes is how many users, the first ones, have a known password in plain text: the timed part
	// is how a change travels, not a key derivation.
	probes = 400
)

// dataset is a number of Users and their Secrets. The same number and layout make the same dataset.
type dataset struct {
	users  int
	layout layout
}

func (d dataset) String() string { return fmt.Sprintf("%s-%s-%d", format, d.layout, d.users) }

func userName(i int) string    { return fmt.Sprintf("user-%06d", i) }
func passwordOf(i int) string  { return "password of " + userName(i) }
func secretName(i int) string  { return userName(i) + "-password" }
func sharedName(i int) string  { return fmt.Sprintf("passwords-%03d", i/perSharedSecret) }
func (d dataset) secrets() int { return len(d.firsts()) }
func (d dataset) perSecret() int {
	return map[layout]int{each: 1, shared: perSharedSecret, tenants: 1}[d.layout]
}

// namespace returns the namespace of a user and its Secret.
func (d dataset) namespace(i int) string {
	if d.layout == tenants {
		return fmt.Sprintf("team-%04d", i/perTenant)
	}
	return usersNamespace
}

// login returns what a user is called.
func (d dataset) login(i int) string {
	if d.layout == tenants {
		return userName(i) + "@" + d.namespace(i) + ".example.com"
	}
	return userName(i) + "@example.com"
}

// tenants returns the number of Tenants.
func (d dataset) tenants() int {
	if d.layout != tenants {
		return 0
	}
	return (d.users + perTenant - 1) / perTenant
}

// tenant returns the nth Tenant.
func (d dataset) tenant(n int) *authv1alpha1.Tenant {
	name := d.namespace(n * perTenant)
	return &authv1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: serviceNamespace, Name: name},
		Spec: authv1alpha1.TenantSpec{
			Namespaces: []string{name},
			Logins:     authv1alpha1.TenantLogins{Suffixes: []string{"@" + name + ".example.com"}},
			Groups:     authv1alpha1.TenantGroups{Exact: []string{"staff"}, Prefixes: []string{"team-"}},
		},
	}
}

// firsts returns the number of the first user of each Secret.
func (d dataset) firsts() []int {
	var firsts []int
	for i := 0; i < d.users; i += d.perSecret() {
		firsts = append(firsts, i)
	}
	return firsts
}

// source returns where the password of a user is.
func (d dataset) source(i int) authv1alpha1.SecretKeyRef {
	if d.layout == shared {
		return authv1alpha1.SecretKeyRef{Name: sharedName(i), Key: userName(i)}
	}
	return authv1alpha1.SecretKeyRef{Name: secretName(i), Key: "passwordHash"}
}

// secret returns the Secret whose first user is i.
func (d dataset) secret(i int) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace(i), Name: d.source(i).Name},
		Data:       map[string][]byte{},
	}
	for n := i; n < min(i+d.perSecret(), d.users); n++ {
		s.Data[d.source(n).Key] = []byte(passwordValue(n))
	}
	return s
}

// passwordValue is a plaintext for a probe, and for any other user a bcrypt hash that no password
// matches.
func passwordValue(i int) string {
	if i < probes {
		return passwordOf(i)
	}
	bits := sha512.Sum512([]byte(userName(i)))
	encoding := base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)
	return "$2b$10$" + encoding.EncodeToString(bits[:16]) + encoding.EncodeToString(bits[16:39])
}

// user returns a User as people write it, with the status that the service gives it.
func (d dataset) user(i int) *authv1alpha1.User {
	holds := func(kind, reason, message string) metav1.Condition {
		return metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message,
			ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(time.Now()),
		}
	}
	active := fmt.Sprintf("logs in as %q", d.login(i))
	password := authv1alpha1.Password{HashFrom: &authv1alpha1.SecretSource{SecretKeyRef: d.source(i)}}
	if i < probes {
		password = authv1alpha1.Password{PlaintextFrom: password.HashFrom}
	}
	return &authv1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace(i), Name: userName(i)},
		Spec: authv1alpha1.UserSpec{
			Login: d.login(i), DisplayName: fmt.Sprintf("User Number %d", i), Email: d.login(i),
			Groups:    []string{"staff", fmt.Sprintf("team-%02d", i%50)},
			Passwords: []authv1alpha1.Password{password},
		},
		Status: authv1alpha1.UserStatus{
			ObservedGeneration: 1, State: authv1alpha1.UserActive, Login: d.login(i),
			Conditions: []metav1.Condition{
				holds(authv1alpha1.ConditionReady, authv1alpha1.ReasonActive, active),
				holds(authv1alpha1.ConditionLoginAllowed, authv1alpha1.ReasonActive, active),
				holds(authv1alpha1.ConditionEnforced, authv1alpha1.ReasonInForce, "every replica answers accordingly"),
			},
		},
	}
}
