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

// TestSecretsOfOthersHarmNobody fills the namespace of the users with Secrets that are not ours: half of them Helm releases,
// which the API server leaves out, half of them Opaque ones with one value that is kept and one that is not, and one of the
// largest size there is, which a User names by mistake.
func TestSecretsOfOthersHarmNobody(t *testing.T) {
	n := 100 * bench.tries
	before := resident(t)
	var filled float64
	got := under(t, func() {
		largestSecret(t)
		foreignSecrets(t, n)
		filled = resident(t)
	})
	if got.OK != got.Requests {
		t.Errorf("%s: %q", got, got.Examples)
	}
	again := filled
	if bench.fault >= time.Minute { // else there is no time for one more restart
		restart(t)
		again = resident(t)
	}
	if limit := before + 64; filled > limit || again > limit {
		t.Errorf("a replica takes %.0f MiB, after a restart %.0f, and took %.0f before", filled, again, before)
	}
	bench.findings.measured("10,000 Secrets of others and one of 1 MiB in the users' namespace",
		"%d Secrets: largest replica %.0f MiB before, %.0f with them, %.0f after a restart; %s", n, before, filled, again, got)
}

// largestSecret makes a Secret of 1 MiB in all, with a hash beside what is too long, and a User with both.
func largestSecret(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: users, Name: "e2e-largest", Labels: crowd()}
	secret := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{
		"large": bytes.Repeat([]byte("x"), corev1.MaxSecretSize-len(goodHash)), "passwordHash": []byte(goodHash),
	}}
	user := &authv1alpha1.User{ObjectMeta: meta}
	for _, key := range []string{"large", "passwordHash"} {
		source := &authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: meta.Name, Key: key}}
		user.Spec.Passwords = append(user.Spec.Passwords, authv1alpha1.Password{HashFrom: source})
	}
	removeCrowd(t)
	for _, o := range []client.Object{secret, user} {
		if err := bench.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, "the User with a password of 1 MiB says so, and logs in with the other", func() error {
		out, err := kubectl("", "-n", users, "get", "user", meta.Name, "-o", "jsonpath={.status.state} {.status.conditions[*].reason}")
		if err == nil && !strings.HasPrefix(out, "Active SecretValueTooLarge") {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
}

func foreignSecrets(t *testing.T, n int) {
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
		all.Go(func() error { return bench.Create(t.Context(), secret) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

func crowd() client.MatchingLabels { return client.MatchingLabels{"e2e": "crowd"} }

// removeCrowd takes away what was made for a test, when that ends.
func removeCrowd(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		for _, o := range []client.Object{&authv1alpha1.User{}, &corev1.Secret{}} {
			if err := bench.DeleteAllOf(context.Background(), o, client.InNamespace(users), crowd()); err != nil {
				t.Error(err)
			}
		}
	})
}

// makeUsers gives the cluster users with a Secret each, until the test ends.
func makeUsers(t *testing.T, n int) {
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
			if err := bench.Create(t.Context(), secret); err != nil {
				return err
			}
			return bench.Create(t.Context(), user)
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// restart replaces all replicas, one after the other.
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
	eventually(t, 2*time.Minute, "the old replicas are gone", func() error { return exactly(t, 3) })
}

// resident is the memory of the largest replica in MiB, as the processes say themselves.
func resident(t *testing.T) float64 {
	t.Helper()
	var got struct {
		Resident  []float64
		Anonymous int
	}
	start(t, "memory", "-replicas", addresses(t, 8080)).result(t, &got)
	if got.Anonymous != 401 && got.Anonymous != 403 {
		t.Errorf("anybody may read the metrics: %d", got.Anonymous)
	}
	return slices.Max(got.Resident) / (1 << 20)
}
