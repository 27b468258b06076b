package main

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// layout is how the users' hashes lie in Secrets.
type layout string

const (
	each   layout = "each"   // one Secret for each user
	shared layout = "shared" // 500 users' hashes in one Secret
)

// format is the version of what a world looks like. Another format is filled anew.
const format = "1"

const (
	usersNamespace   = "gatehouse-users"
	serviceNamespace = "gatehouse-system"
	perSharedSecret  = 500
	minimumUsers     = 1000

	// probes is how many users, the first ones, have a password that is known, in plain text: what is timed is the way of a
	// change, not a key derivation.
	probes = 400
)

// world is a number of Users and their Secrets. The same number and layout make the same world.
type world struct {
	users  int
	layout layout
}

func (w world) String() string { return fmt.Sprintf("%s-%s-%d", format, w.layout, w.users) }

func userName(i int) string    { return fmt.Sprintf("user-%06d", i) }
func loginOf(i int) string     { return userName(i) + "@example.com" }
func passwordOf(i int) string  { return "password of " + userName(i) }
func secretName(i int) string  { return userName(i) + "-password" }
func sharedName(i int) string  { return fmt.Sprintf("passwords-%03d", i/perSharedSecret) }
func (w world) secrets() int   { return len(w.firsts()) }
func (w world) perSecret() int { return map[layout]int{each: 1, shared: perSharedSecret}[w.layout] }

// firsts are the first users of each Secret.
func (w world) firsts() []int {
	var out []int
	for i := 0; i < w.users; i += w.perSecret() {
		out = append(out, i)
	}
	return out
}

// source says where the password of a user is.
func (w world) source(i int) authv1alpha1.SecretKeyRef {
	if w.layout == shared {
		return authv1alpha1.SecretKeyRef{Name: sharedName(i), Key: userName(i)}
	}
	return authv1alpha1.SecretKeyRef{Name: secretName(i), Key: "passwordHash"}
}

// secret is the Secret whose first user is i.
func (w world) secret(i int) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: w.source(i).Name},
		Data:       map[string][]byte{},
	}
	for n := i; n < min(i+w.perSecret(), w.users); n++ {
		s.Data[w.source(n).Key] = []byte(value(n))
	}
	return s
}

// value is a plaintext for a probe, and a bcrypt hash that no password matches for everybody else.
func value(i int) string {
	if i < probes {
		return passwordOf(i)
	}
	bits := sha512.Sum512([]byte(userName(i)))
	encoding := base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)
	return "$2b$10$" + encoding.EncodeToString(bits[:16]) + encoding.EncodeToString(bits[16:39])
}

// user is a User as people write it, with the status that it comes to.
func (w world) user(i int) *authv1alpha1.User {
	ready := metav1.Condition{
		Type: authv1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: authv1alpha1.ReasonActive,
		Message: fmt.Sprintf("logs in as %q", loginOf(i)), ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(time.Now()),
	}
	password := authv1alpha1.Password{HashFrom: &authv1alpha1.SecretSource{SecretKeyRef: w.source(i)}}
	if i < probes {
		password = authv1alpha1.Password{PlaintextFrom: password.HashFrom}
	}
	return &authv1alpha1.User{
		ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: userName(i)},
		Spec: authv1alpha1.UserSpec{
			Login: loginOf(i), DisplayName: fmt.Sprintf("User Number %d", i), Email: loginOf(i),
			Groups:    []string{"staff", fmt.Sprintf("team-%02d", i%50)},
			Passwords: []authv1alpha1.Password{password},
		},
		Status: authv1alpha1.UserStatus{
			ObservedGeneration: 1, State: authv1alpha1.UserActive, Conditions: []metav1.Condition{ready},
		},
	}
}
