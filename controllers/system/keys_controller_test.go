package system

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

const month = 30 * 24 * time.Hour

// clock is a clock that tests move forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// systemNamespace is a namespace of the test's own, and a service with the rights there that the
// generated role gives it in its own namespace.
type systemNamespace struct{ apitest.Restricted }

func newSystemNamespace(t testing.TB) systemNamespace {
	t.Helper()
	return systemNamespace{apitest.NewRestricted(t, apitest.SystemRole)}
}

// manage runs a manager with what setup adds to it until the test ends.
func (b systemNamespace) manage(t testing.TB, setup func(ctrl.Manager) error) {
	t.Helper()
	mgr, err := ctrl.NewManager(b.Config, ctrl.Options{
		Scheme:     b.Scheme(),
		Logger:     logr.Discard(), // what the manager logs is not what these tests are about
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := setup(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// keysOf starts replicas that share the keys of a namespace, and returns the KeySet of each.
func (b systemNamespace) keysOf(t testing.TB, replicas int, c *clock) []*token.KeySet {
	t.Helper()
	var sets []*token.KeySet
	for range replicas {
		set := &token.KeySet{}
		sets = append(sets, set)
		b.manage(t, (&KeysReconciler{
			Namespace: b.Namespace, Keys: set, Now: c.now,
			Policy: token.Policy{
				Algorithm: token.ES256, Interval: month,
				Lifetime: map[token.Use]time.Duration{token.Sign: 24 * time.Hour, token.Seal: 365 * 24 * time.Hour},
			},
		}).SetupWithManager)
	}
	apitest.Eventually(t, "all replicas have the same keys", func() bool {
		for _, set := range sets {
			if !set.Ready(c.now()) || !set.Keys().Equal(sets[0].Keys()) {
				return false
			}
		}
		return true
	})
	return sets
}

func (b systemNamespace) secret(t testing.TB, name string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := b.Get(context.Background(), types.NamespacedName{Namespace: b.Namespace, Name: name}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

// patch changes a Secret as kubectl patch --type=merge would.
func (b systemNamespace) patch(t testing.TB, name string, change map[string]any) {
	t.Helper()
	raw, err := json.Marshal(change)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name}}
	if err := b.Patch(context.Background(), secret, client.RawPatch(types.MergePatchType, raw)); err != nil {
		t.Fatal(err)
	}
}

func annotate(name, value string) map[string]any {
	return map[string]any{"metadata": map[string]any{"annotations": map[string]string{name: value}}}
}

func current(set *token.KeySet, use token.Use, now time.Time) token.Key {
	k, _ := set.Keys().Current(use, now)
	return k
}

// issuedWith issues a token with the keys of one replica and returns a check of it on another.
func issuedWith(t testing.TB, set *token.KeySet, now time.Time) (check func(*token.KeySet) error) {
	t.Helper()
	issuer := token.Issuer{Keys: set, URL: "https://gatehouse.example", Audience: []string{"a"}}
	text, _, err := issuer.JWT(token.Claims{UID: "4fe8a1d0-0000-4000-8000-000000000000", IssuedAt: now, ExpiresAt: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return func(other *token.KeySet) error {
		_, err := (&token.Verifier{Keys: other, Issuer: issuer.URL, Audience: issuer.Audience}).Verify(text, now)
		return err
	}
}

func TestReplicasAgreeOnFirstKeys(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	sets := b.keysOf(t, 3, c)
	for i, set := range sets {
		check := issuedWith(t, set, c.now())
		for j, other := range sets {
			if err := check(other); err != nil {
				t.Errorf("replica %[2]d refuses a token of replica %[1]d: %[3]v", i, j, err)
			}
		}
	}
	secret := b.secret(t, KeysSecret)
	if got, want := secret.Annotations[CurrentSigningKey], current(sets[0], token.Sign, c.now()).EntryName(); got != want {
		t.Errorf("the annotation names key %q, want %q", got, want)
	}
	if late := b.keysOf(t, 1, c)[0]; !late.Keys().Equal(sets[0].Keys()) {
		t.Error("a replica that starts later has different keys")
	}
	if after := b.secret(t, KeysSecret); after.ResourceVersion != secret.ResourceVersion {
		t.Error("a replica that starts later writes the same keys again")
	}
}

func TestRemovedKeyIsReplacedByThePublishedNext(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	sets := b.keysOf(t, 2, c)
	before := current(sets[0], token.Sign, c.now())
	public := sets[1].Public(c.now())
	check := issuedWith(t, sets[1], c.now())

	b.patch(t, KeysSecret, map[string]any{"data": map[string]any{
		b.secret(t, KeysSecret).Annotations[CurrentSigningKey]: nil,
	}})

	for _, set := range sets {
		apitest.Eventually(t, "another key signs", func() bool { return current(set, token.Sign, c.now()).ID != before.ID })
		if len(public.Key(current(set, token.Sign, c.now()).ID)) == 0 {
			t.Error("the key that signs now had not been published")
		}
		if check(set) == nil {
			t.Error("a token of the removed key is still accepted")
		}
		apitest.Eventually(t, "another key stands by", func() bool { return len(set.Public(c.now()).Keys) == 2 })
	}
	apitest.Eventually(t, "the annotation names the key", func() bool {
		return b.secret(t, KeysSecret).Annotations[CurrentSigningKey] ==
			current(sets[0], token.Sign, c.now()).EntryName()
	})
}

func TestDeletedKeysAreReplaced(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	sets := b.keysOf(t, 2, c)
	check := issuedWith(t, sets[0], c.now())
	if err := b.Delete(t.Context(), b.secret(t, KeysSecret)); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, "the old keys are gone", func() bool { return check(sets[0]) != nil && check(sets[1]) != nil })
	apitest.Eventually(t, "all replicas have the same keys", func() bool {
		return sets[0].Ready(c.now()) && sets[0].Keys().Equal(sets[1].Keys())
	})
}

func TestUnreadableKeyIsReportedAndHarmless(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	sets := b.keysOf(t, 2, c)
	before := current(sets[0], token.Sign, c.now())
	check := issuedWith(t, sets[0], c.now())

	b.patch(t, KeysSecret, map[string]any{"stringData": map[string]string{
		"README": "these are keys", string(token.Sign) + "-x": "{}",
	}})
	b.patch(t, KeysSecret, map[string]any{"stringData": map[string]string{token.RotationRequest: ""}})
	apitest.Eventually(t, "the keys rotate all the same", func() bool { return takeoverBegun(sets[1], before, c) })

	if err := check(sets[1]); err != nil {
		t.Errorf("a good token is refused: %v", err)
	}
	if got := string(b.secret(t, KeysSecret).Data["README"]); got != "these are keys" {
		t.Errorf("the entry that is not a key is now %q", got)
	}
	apitest.Eventually(t, "an Event says so", func() bool {
		var events corev1.EventList
		if err := b.List(t.Context(), &events, client.InNamespace(b.Namespace)); err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if e.InvolvedObject.Name == KeysSecret && e.Reason == "KeyUnreadable" {
				return true
			}
		}
		return false
	})
}

// takeoverBegun reports whether a replica knows when a key ends.
func takeoverBegun(set *token.KeySet, before token.Key, c *clock) bool {
	for _, k := range set.Keys().All(token.Sign) {
		if k.ID == before.ID {
			return !k.EndsAt.IsZero()
		}
	}
	return current(set, token.Sign, c.now()).ID != before.ID
}

func TestRequestedRotationHappensOnce(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	sets := b.keysOf(t, 3, c)
	before := current(sets[0], token.Sign, c.now())
	check := issuedWith(t, sets[0], c.now())

	b.patch(t, KeysSecret, map[string]any{"stringData": map[string]string{token.RotationRequest: ""}})

	for _, set := range sets {
		apitest.Eventually(t, "the takeover is known", func() bool { return takeoverBegun(set, before, c) })
	}
	if got := current(sets[0], token.Sign, c.now()); got.ID != before.ID {
		t.Error("the next key signs before verifiers can know it")
	}
	c.forward(time.Hour)
	after := current(sets[0], token.Sign, c.now())
	if after.ID == before.ID {
		t.Fatal("the next key never signs")
	}
	secret := b.secret(t, KeysSecret)
	if _, pending := secret.Data[token.RotationRequest]; pending {
		t.Error("the request is still there")
	}
	b.patch(t, KeysSecret, annotate("example.com/touched", "now"))
	apitest.Eventually(t, "a key stands by again", func() bool { return len(sets[2].Public(c.now()).Keys) == 3 })
	if got := current(sets[2], token.Sign, c.now()); got.ID != after.ID {
		t.Error("it rotates again without a request")
	}
	if err := check(sets[2]); err != nil {
		t.Errorf("a token of the replaced key is refused: %v", err)
	}
}

func TestKeysRotateByAge(t *testing.T) {
	b, c := newSystemNamespace(t), &clock{}
	sets := b.keysOf(t, 2, c)
	before := current(sets[0], token.Sign, c.now())
	c.forward(month)
	b.patch(t, KeysSecret, annotate("example.com/touched", "now"))
	for _, set := range sets {
		apitest.Eventually(t, "the takeover is known", func() bool { return takeoverBegun(set, before, c) })
	}
	c.forward(25 * time.Hour)
	b.patch(t, KeysSecret, annotate("example.com/touched", "again"))
	apitest.Eventually(t, "the old key is gone", func() bool {
		return !published(sets[0], before, c) && !published(sets[1], before, c)
	})
}

func published(set *token.KeySet, k token.Key, c *clock) bool {
	public := set.Public(c.now())
	return len(public.Key(k.ID)) > 0
}
