package replica

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

// observeInForce makes a set see the Lease of a replica in a Pod with Users up to a version.
func observeInForce(t *testing.T, s *Set, name string, users uint64, renewed time.Time) {
	t.Helper()
	l := leaseOf(name, renewed)
	said, err := formatInForce(delivery.InForce{Versions: delivery.Versions{Users: users}})
	if err != nil {
		t.Fatal(err)
	}
	l.Annotations = map[string]string{InForceAnnotation: said}
	l.OwnerReferences = []metav1.OwnerReference{{Kind: "Pod", Name: name}}
	s.observe(l)
}

func wantBehind(t *testing.T, s *Set, version uint64, pending, unheard []string) {
	t.Helper()
	b := s.BehindOf("users", delivery.Versions{Users: version})
	if !slices.Equal(b.Pending, pending) || !slices.Equal(b.Unheard, unheard) || b.None() != (len(pending)+len(unheard) == 0) {
		t.Errorf("behind %d are %v and %v, want %v and %v", version, b.Pending, b.Unheard, pending, unheard)
	}
}

func TestReplicasAreBehindUntilTheirLeasesSayOtherwise(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	s := knownSet("a", c.now)
	wantBehind(t, s, 1, []string{"a"}, nil) // what this replica knows of itself does not count
	observeInForce(t, s, "a", 10, start)
	s.observe(leaseOf("b", start)) // it starts, or has an older version of Gatehouse
	wantBehind(t, s, 10, []string{"b"}, nil)
	observeInForce(t, s, "b", 9, start.Add(time.Second))
	wantBehind(t, s, 9, nil, nil)
	wantBehind(t, s, 10, []string{"b"}, nil)
	observeInForce(t, s, "b", 12, start.Add(2*time.Second))
	wantBehind(t, s, 10, nil, nil)
	wantBehind(t, s, 11, []string{"a"}, nil)
}

func TestReplicaThatIsNotHeardOfIsNamedWhileItsPodExists(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	s := knownSet("a", c.now)
	observeInForce(t, s, "b", 9, start)
	s.observe(leaseOf("without-pod", start))
	c.Time = start.Add(lifetime)
	observeInForce(t, s, "a", 10, c.Time)
	wantBehind(t, s, 10, nil, []string{"b"})
	wantBehind(t, s, 9, nil, nil) // what it has, it has
	s.forget(prefix + "b")
	wantBehind(t, s, 10, nil, nil)
}

func TestMovesAreAnnounced(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	s := knownSet("a", c.now)
	moves := 0
	s.OnMove(func() { moves++ })
	observeInForce(t, s, "b", 9, start)
	observeInForce(t, s, "b", 9, start.Add(10*time.Second)) // a renewal
	if moves != 1 {
		t.Errorf("%d moves after one", moves)
	}
	observeInForce(t, s, "b", 10, start.Add(11*time.Second))
	s.forget(prefix + "b")
	if moves != 3 {
		t.Errorf("%d moves after three", moves)
	}
}

func FuzzInForce(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"users":"12","secrets":"3","tokens":"4","revocations":"5"}`, `{"users":"-1"}`, `{"users":12}`,
		`{"users":"18446744073709551616"}`, `{"users":"1","namespaces":{"a":{"users":"2"}}}`, `{"namespaces":[]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, annotation string) {
		parsed := parseInForce(annotation)
		if len(annotation) > maximumInForce && parsed.Users != 0 {
			t.Fatal("an annotation that is too long was read")
		}
		said, err := formatInForce(parsed)
		if err != nil {
			t.Fatal(err)
		}
		again := parseInForce(said)
		if again.Versions != parsed.Versions || len(again.Namespaces) != len(parsed.Namespaces) && len(said) <= maximumInForce {
			t.Fatalf("%q reads as %+v, which reads again as %+v", annotation, parsed, again)
		}
	})
}
