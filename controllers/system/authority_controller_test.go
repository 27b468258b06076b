package system

import (
	"crypto/x509"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

const serverName = "gatehouse.example"

// sourcesOf starts replicas that share the CA of a namespace and publish it in that of users too, and
// returns the source of the server certificate of each.
func (b systemNamespace) sourcesOf(t testing.TB, replicas int, users string, c *clock) []*authority.Source {
	t.Helper()
	var sources []*authority.Source
	for range replicas {
		source := authority.NewSource([]string{serverName}, c.now)
		sources = append(sources, source)
		b.manage(t, (&AuthorityReconciler{
			Namespace: b.Namespace, Publish: []string{users, "a-namespace-that-is-not-there"}, Source: source, Now: c.now,
		}).SetupWithManager)
	}
	for _, source := range sources {
		apitest.Eventually(t, "every replica has a certificate", func() bool { return !source.NotAfter().IsZero() })
	}
	return sources
}

// trusted reports whether a client that trusts what a namespace publishes trusts the certificate of a
// replica.
func (b systemNamespace) trusted(t testing.TB, namespace string, source *authority.Source, c *clock) bool {
	t.Helper()
	var published corev1.ConfigMap
	if err := b.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: AuthoritySecret}, &published); err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(published.Data[authority.CertificateEntry]))
	leaf, err := source.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: serverName, CurrentTime: c.now()})
	return err == nil
}

func TestReplicasShareAndPublishOneCA(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	users := b.Another(t, apitest.UsersRole)
	for _, source := range b.sourcesOf(t, 3, users, c) {
		for _, namespace := range []string{b.Namespace, users} {
			apitest.Eventually(t, "clients trust every replica", func() bool { return b.trusted(t, namespace, source, c) })
		}
	}
	before := b.secret(t, AuthoritySecret).ResourceVersion
	b.sourcesOf(t, 1, users, c)
	if b.secret(t, AuthoritySecret).ResourceVersion != before {
		t.Error("a replica that starts later writes the CA again")
	}
}

func TestDeletedCAIsReplacedAndPublished(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	users := b.Another(t, apitest.UsersRole)
	sources := b.sourcesOf(t, 2, users, c)
	old, err := sources[0].GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), b.secret(t, AuthoritySecret)); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, "another CA is in force", func() bool {
		leaf, err := sources[0].GetCertificate(nil)
		return err == nil && !leaf.Leaf.Equal(old.Leaf) && b.trusted(t, users, sources[0], c) && b.trusted(t, users, sources[1], c)
	})
}

func TestUnreadableCAStaysAndThePreviousServes(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	users := b.Another(t, apitest.UsersRole)
	source := b.sourcesOf(t, 1, users, c)[0]
	apitest.Eventually(t, "the CA is published", func() bool { return b.trusted(t, users, source, c) })

	b.patch(t, AuthoritySecret, map[string]any{"stringData": map[string]string{authority.KeyEntry: "lost"}})

	apitest.Eventually(t, "an Event says so", func() bool {
		var events corev1.EventList
		if err := b.List(t.Context(), &events); err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if e.InvolvedObject.Namespace == b.Namespace && e.Reason == "CAUnreadable" {
				return true
			}
		}
		return false
	})
	if !b.trusted(t, users, source, c) {
		t.Error("the previous CA is no longer in force")
	}
	if got := string(b.secret(t, AuthoritySecret).Data[authority.KeyEntry]); got != "lost" {
		t.Errorf("the entry is now %q", got)
	}
}

func TestNextCAIsPublishedLongBefore(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	users := b.Another(t, apitest.UsersRole)
	source := b.sourcesOf(t, 1, users, c)[0]
	apitest.Eventually(t, "the CA is published", func() bool { return b.trusted(t, users, source, c) })
	first := b.bundle(t)

	c.forward(8*365*24*time.Hour + 24*time.Hour)
	b.patch(t, AuthoritySecret, map[string]any{"stringData": map[string]string{"note": "ours"}})

	apitest.Eventually(t, "two certificates are published", func() bool { return len(b.bundle(t)) > len(first) })
	if got := b.bundle(t)[:len(first)]; got != first {
		t.Error("the first certificate is no longer published")
	}
	if got := string(b.secret(t, AuthoritySecret).Data["note"]); got != "ours" {
		t.Errorf("an entry of someone else is now %q", got)
	}
}

func (b systemNamespace) bundle(t testing.TB) string {
	t.Helper()
	published := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: AuthoritySecret}}
	if err := b.Get(t.Context(), types.NamespacedName{Namespace: b.Namespace, Name: AuthoritySecret}, &published); err != nil {
		t.Fatal(err)
	}
	return published.Data[authority.CertificateEntry]
}
