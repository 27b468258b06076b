package controllers

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/replica"
)

const (
	// unheardCheck is how often the condition of an object is looked at again while it is not True.
	// That a replica is no longer heard of is no event.
	unheardCheck = 10 * time.Second
	// firstFalse is how long an object may have no condition before it gets one that is not True, so
	// that most get one by a single write.
	firstFalse = 5 * time.Second
)

// enforcement decides the condition Enforced of the objects of one kind. It remembers what the
// replicas must have in force for each object that has changed, and nothing for all others: an object
// whose condition was True before this replica started keeps it. A nil enforcement decides nothing. It
// is safe for concurrent use.
type enforcement struct {
	replicas *replica.Set
	now      func() time.Time

	mu          sync.Mutex
	changed     map[types.NamespacedName]change
	revocations map[string]uint64 // versions of the newest Revocations, by the namespace/name of their Users
	moved       chan struct{}     // has an element when a replica has more in force
}

// change is what the replicas must have in force of an object.
type change struct {
	uid        types.UID
	generation int64
	versions   delivery.Versions
	since      time.Time
	settled    bool // every replica has it, and so has each that starts from now on
}

// newEnforcement returns the enforcement of a kind, or nil if the replicas do not know of each other.
func newEnforcement(replicas *replica.Set, now func() time.Time) *enforcement {
	if replicas == nil {
		return nil
	}
	e := &enforcement{
		replicas: replicas, now: now,
		changed: map[types.NamespacedName]change{}, revocations: map[string]uint64{}, moved: make(chan struct{}, 1),
	}
	replicas.OnMove(e.wake)
	return e
}

// wake makes the objects that wait be looked at.
func (e *enforcement) wake() {
	select {
	case e.moved <- struct{}{}:
	default:
	}
}

// secretChanged records that Users must not count as enforced before every replica has a version of
// a Secret.
func (e *enforcement) secretChanged(users []types.NamespacedName, resourceVersion string) {
	if e == nil {
		return
	}
	version := delivery.Versions{Secrets: delivery.VersionOf(resourceVersion)}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range users {
		e.add(key, version)
	}
}

// revoked records that a User must not count as enforced before every replica has a version of a
// Revocation of it.
func (e *enforcement) revoked(userKey string, version uint64) {
	namespace, name, ok := strings.Cut(userKey, "/")
	if e == nil || !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.revocations[userKey] = max(version, e.revocations[userKey])
	e.add(types.NamespacedName{Namespace: namespace, Name: name}, delivery.Versions{Revocations: version})
}

// add adds versions to what must be in force of an object. The caller holds mu.
func (e *enforcement) add(key types.NamespacedName, versions delivery.Versions) {
	c, ok := e.changed[key]
	if !ok {
		c.since = e.now()
	}
	c.versions, c.settled = c.versions.Max(versions), false
	e.changed[key] = c
}

// forget forgets an object that does not exist, and unless one is revoked the Revocations that it had.
func (e *enforcement) forget(key types.NamespacedName, isRevoked bool) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.changed, key)
	if !isRevoked {
		delete(e.revocations, key.String())
	}
}

// judge returns the condition that an object should have, which is empty if it should stay as it is,
// and how long that is so at most; 0: until something happens. versions are those from which this
// replica has computed the rest of its status, and condition the one that it has, or nil.
func (e *enforcement) judge(o client.Object, versions delivery.Versions, condition *metav1.Condition) (metav1.Condition, time.Duration) {
	if e == nil {
		return metav1.Condition{}, 0
	}
	c, waits := e.change(o, versions, condition)
	if !waits {
		return metav1.Condition{}, 0
	}
	next := e.condition(client.ObjectKeyFromObject(o), c)
	switch early := firstFalse - e.now().Sub(c.since); {
	case next.Status != metav1.ConditionTrue && condition == nil && early > 0:
		return metav1.Condition{}, early
	case next.Status != metav1.ConditionTrue:
		return next, unheardCheck
	case isEnforced(condition, o.GetGeneration()):
		e.finish(client.ObjectKeyFromObject(o), c.versions)
	}
	return next, 0
}

// change returns what the replicas must have in force of an object, and reports whether that has
// not been settled.
func (e *enforcement) change(o client.Object, versions delivery.Versions, condition *metav1.Condition) (change, bool) {
	key := client.ObjectKeyFromObject(o)
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.changed[key]
	if !ok && isEnforced(condition, o.GetGeneration()) {
		return c, false
	}
	if c.uid != o.GetUID() || c.generation != o.GetGeneration() {
		versions.Revocations = max(versions.Revocations, e.revocations[key.String()])
		c = change{uid: o.GetUID(), generation: o.GetGeneration(), versions: c.versions.Max(versions), since: e.now()}
		e.changed[key] = c
	}
	return c, true
}

// finish forgets a change whose condition is True and stored, unless there is a newer one.
func (e *enforcement) finish(key types.NamespacedName, versions delivery.Versions) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changed[key].versions == versions {
		delete(e.changed, key)
	}
}

// behind returns the replicas that do not have a change. Once there are none, there never are again:
// a replica that starts later reads it.
func (e *enforcement) behind(key types.NamespacedName, c change) replica.Behind {
	if c.settled {
		return replica.Behind{}
	}
	behind := e.replicas.BehindOf(key.Namespace, c.versions)
	if behind.None() {
		e.settle(key, c.versions)
	}
	return behind
}

func (e *enforcement) settle(key types.NamespacedName, versions delivery.Versions) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.changed[key]; ok && c.versions == versions {
		c.settled = true
		e.changed[key] = c
	}
}

// condition returns the condition of an object with a change.
func (e *enforcement) condition(key types.NamespacedName, c change) metav1.Condition {
	out := metav1.Condition{Type: authv1alpha1.ConditionEnforced, Status: metav1.ConditionFalse, Reason: authv1alpha1.ReasonPending}
	behind := e.behind(key, c)
	switch {
	case c.versions == delivery.Versions{}:
		out.Status, out.Reason = metav1.ConditionUnknown, authv1alpha1.ReasonNotComparable
		out.Message = "the API server has resourceVersions that are not numbers, so it is not known what the replicas have"
	case behind.None():
		out.Status, out.Reason, out.Message = metav1.ConditionTrue, authv1alpha1.ReasonInForce, "every replica answers accordingly"
	case len(behind.Unheard) > 0:
		out.Reason = authv1alpha1.ReasonReplicaUnheard
		out.Message = "not heard of, and may still answer from what they knew: " + strings.Join(behind.Unheard, ", ") +
			"; look at these Pods, or delete them" + alsoPending(behind.Pending)
	default:
		out.Message = "not yet in force on: " + strings.Join(behind.Pending, ", ")
	}
	return out
}

func alsoPending(pending []string) string {
	if len(pending) == 0 {
		return ""
	}
	return "; not yet in force on: " + strings.Join(pending, ", ")
}

// isEnforced reports whether a condition says that a generation is in force everywhere.
func isEnforced(c *metav1.Condition, generation int64) bool {
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == generation
}

// source returns a source that enqueues an object as soon as all replicas have its change in force.
func (e *enforcement) source() source.Source {
	return source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-e.moved:
				}
				for _, key := range e.settled() {
					q.Add(reconcile.Request{NamespacedName: key})
				}
			}
		}()
		return nil
	})
}

// settled returns the objects whose changes have just come to be in force on all replicas.
func (e *enforcement) settled() []types.NamespacedName {
	e.mu.Lock()
	waiting := maps.Clone(e.changed)
	e.mu.Unlock()
	var out []types.NamespacedName
	for key, c := range waiting {
		if !c.settled && e.behind(key, c).None() {
			out = append(out, key)
		}
	}
	return out
}
