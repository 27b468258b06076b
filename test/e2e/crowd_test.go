package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

const goodHash = "$2a$12$NfORPRkVRInmbE9h8PRIJeQAKcJ0ZM6lbl6J3N6KPjLjNHjW6FlbG"

// TestForeignSecretsDoNoHarm fills the namespace of the users with Secrets that are not for
// Gatehouse: half of them Helm releases, which the API server filters out, half of them Opaque with
// one value that the service keeps and one that it does not, and one of the largest possible size,
// which a User names by mistake.
func TestForeignSecretsDoNoHarm(t *testing.T) {
	n := 100 * suite.tries
	before := resident(t)
	var filled float64
	got := underLoad(t, func() {
		createLargestSecret(t)
		createForeignSecrets(t, n)
		filled = resident(t)
	})
	if got.OK != got.Requests {
		t.Errorf("%s: %q", got, got.Examples)
	}
	restarted := filled
	if suite.fault >= time.Minute { // a short run has no time for one more restart
		restart(t)
		restarted = resident(t)
	}
	if limit := before + 64; filled > limit || restarted > limit {
		t.Errorf("a replica takes %.0f MiB, and %.0f MiB after a restart; it took %.0f MiB before", filled, restarted, before)
	}
	suite.findings.record("10,000 Secrets of others and one of 1 MiB in the users' namespace",
		"%d Secrets: largest replica %.0f MiB before, %.0f with them, %.0f after a restart; %s", n, before, filled, restarted, got)
}

// createLargestSecret creates a Secret of 1 MiB in all, with a hash beside a value that is too
// long, and a User whose passwords are both.
func createLargestSecret(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: users, Name: "e2e-largest", Labels: crowd()}
	secret := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{
		"large": bytes.Repeat([]byte("x"), corev1.MaxSecretSize-len(goodHash)), "passwordHash": []byte(goodHash),
	}}
	user := &authv1alpha1.User{ObjectMeta: meta}
	for _, key := range []string{"large", "passwordHash"} {
		source := &authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: meta.Name, Key: key}}
		user.Spec.Passwords = append(user.Spec.Passwords, authv1alpha1.Password{Name: strings.ToLower(key), HashFrom: source})
	}
	removeCrowd(t)
	for _, o := range []client.Object{secret, user} {
		if err := suite.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, "the User reports the password of 1 MiB, and is active with the other", func() error {
		out, err := kubectl("", "-n", users, "get", "user", meta.Name, "-o", "jsonpath={.status.state} {.status.conditions[*].reason}")
		if err == nil && !strings.HasPrefix(out, "Active SecretValueTooLarge") {
			err = fmt.Errorf("its status is %q", out)
		}
		return err
	})
}

// createForeignSecrets creates n Secrets that no User names.
func createForeignSecrets(t *testing.T, n int) {
	t.Helper()
	var all errgroup.Group
	all.SetLimit(8)
	long, short := bytes.Repeat([]byte("x"), 8<<10), bytes.Repeat([]byte("y"), 1<<10)
	for i := range n {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: users, Name: fmt.Sprintf("e2e-foreign-%d", i), Labels: crowd()},
			Type:       "helm.sh/release.v1", Data: map[string][]byte{"release": long},
		}
		if i%2 == 0 {
			secret.Type, secret.Data = corev1.SecretTypeOpaque, map[string][]byte{"long": long, "short": short}
		}
		all.Go(func() error { return suite.Create(t.Context(), secret) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// crowd is the label of everything that the tests of this file create.
func crowd() client.MatchingLabels { return client.MatchingLabels{"e2e": "crowd"} }

// removeCrowd deletes what a test creates with the label crowd, when the test ends.
func removeCrowd(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		for _, o := range []client.Object{&authv1alpha1.User{}, &corev1.Secret{}} {
			if err := suite.DeleteAllOf(context.Background(), o, client.InNamespace(users), crowd()); err != nil {
				t.Error(err)
			}
		}
	})
}

// createUsers creates n users with a Secret each, until the test ends.
func createUsers(t *testing.T, n int) {
	t.Helper()
	removeCrowd(t)
	var all errgroup.Group
	all.SetLimit(8)
	for i := range n {
		meta := metav1.ObjectMeta{Namespace: users, Name: fmt.Sprintf("e2e-crowd-%d", i), Labels: crowd()}
		source := authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: meta.Name, Key: "passwordHash"}}
		all.Go(func() error {
			secret := &corev1.Secret{ObjectMeta: meta, StringData: map[string]string{"passwordHash": goodHash}}
			user := &authv1alpha1.User{ObjectMeta: meta, Spec: authv1alpha1.UserSpec{
				DisplayName: "One of many", Groups: []string{"crowd"}, Passwords: []authv1alpha1.Password{{HashFrom: &source}},
			}}
			if err := suite.Create(t.Context(), secret); err != nil {
				return err
			}
			return suite.Create(t.Context(), user)
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// restart replaces all replicas one after the other, as a rolling update does.
func restart(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"-n", system, "rollout", "restart", "deployment/gatehouse"},
		{"-n", system, "rollout", "status", "deployment/gatehouse", "--timeout=300s"},
	} {
		if _, err := kubectl("", args...); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 2*time.Minute, "the old replicas are gone", func() error { return podCount(t, 3) })
}

// resident returns the memory of the largest replica in MiB, from the metrics of the processes.
func resident(t *testing.T) float64 {
	t.Helper()
	var got struct {
		Resident  []float64
		Anonymous int
	}
	start(t, "memory", "-replicas", addresses(t, 8080)).result(t, &got)
	if got.Anonymous != 401 && got.Anonymous != 403 {
		t.Errorf("reading the metrics without a token is answered with %d, want 401 or 403", got.Anonymous)
	}
	return slices.Max(got.Resident) / (1 << 20)
}
