package informer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// Progress knows up to which versions the directory has what the API server sent, of all the kinds
// that it is made from. It is safe for concurrent use.
type Progress struct {
	Users, Secrets, Tokens, Revocations *Observed

	// Before is called before each request for objects of these kinds; nil: nothing is. It may wait,
	// until its context ends. It is set before the first informer starts.
	Before func(context.Context)

	mu       sync.Mutex
	affected arrivals // Users that a Secret concerns, by the version of the Secret
	moved    chan struct{}
}

// Versions are resourceVersions, by kind. The zero value is older than all others.
type Versions struct {
	Users       uint64 `json:"users,string"`
	Secrets     uint64 `json:"secrets,string"`
	Tokens      uint64 `json:"tokens,string"`
	Revocations uint64 `json:"revocations,string"`
}

// NewProgress returns the progress of a directory that is empty.
func NewProgress() *Progress {
	p := &Progress{
		Users: NewObserved(), Secrets: NewObserved(), Tokens: NewObserved(), Revocations: NewObserved(),
		affected: newArrivals(), moved: make(chan struct{}, 1),
	}
	for _, o := range []*Observed{p.Users, p.Secrets, p.Tokens, p.Revocations} {
		o.moved = p.notify
	}
	p.Secrets.Finish() // InitialSync does not compare Secrets
	return p
}

// Covers reports whether each version is at least as new as the other one.
func (v Versions) Covers(other Versions) bool {
	return v.Users >= other.Users && v.Secrets >= other.Secrets && v.Tokens >= other.Tokens && v.Revocations >= other.Revocations
}

// Max returns the newer version of each kind.
func (v Versions) Max(other Versions) Versions {
	return Versions{
		Users: max(v.Users, other.Users), Secrets: max(v.Secrets, other.Secrets),
		Tokens: max(v.Tokens, other.Tokens), Revocations: max(v.Revocations, other.Revocations),
	}
}

// maximumNamespaces is how many namespaces an InForce names at most. The rest is as new as the oldest
// of all, at most a minute behind: then the API server sends a bookmark to each watch.
const maximumNamespaces = 64

// InForce says up to which versions everything is in a directory.
type InForce struct {
	Versions                       // in all namespaces
	Namespaces map[string]Versions `json:"namespaces,omitempty"` // those in which it is newer
}

// In returns the versions up to which everything of a namespace is in the directory.
func (f InForce) In(namespace string) Versions {
	if v, ok := f.Namespaces[namespace]; ok {
		return v
	}
	return f.Versions
}

// InForce returns the versions up to which everything is in the directory.
func (p *Progress) InForce() InForce {
	secrets := p.Secrets.Versions()
	p.mu.Lock() // after the Secrets were asked: a Secret becomes that of its Users before it is recorded
	p.affected.limit(secrets)
	p.mu.Unlock()
	kinds := []map[string]uint64{p.Users.Versions(), secrets, p.Tokens.Versions(), p.Revocations.Versions()}
	var out InForce
	oldest := []*uint64{&out.Users, &out.Secrets, &out.Tokens, &out.Revocations}
	names := map[string]struct{}{}
	for i, versions := range kinds {
		if len(versions) > 0 {
			*oldest[i] = slices.Min(slices.Collect(maps.Values(versions)))
		}
		for name := range versions {
			names[name] = struct{}{}
		}
	}
	delete(names, "")
	out.Namespaces = newest(names, out.Versions, kinds)
	return out
}

// newest returns the versions of the namespaces in which they are newer than the oldest, at most
// maximumNamespaces of them.
func newest(names map[string]struct{}, oldest Versions, kinds []map[string]uint64) map[string]Versions {
	out := map[string]Versions{}
	for name := range names {
		at := func(kind int, oldest uint64) uint64 { return max(oldest, kinds[kind][name]) }
		v := Versions{at(0, oldest.Users), at(1, oldest.Secrets), at(2, oldest.Tokens), at(3, oldest.Revocations)}
		if v != oldest {
			out[name] = v
		}
	}
	if len(out) <= maximumNamespaces {
		return out
	}
	sorted := slices.SortedFunc(maps.Keys(out), func(a, b string) int { return cmp.Compare(out[b].latest(), out[a].latest()) })
	for _, name := range sorted[maximumNamespaces:] {
		delete(out, name)
	}
	return out
}

func (v Versions) latest() uint64 { return max(v.Users, v.Secrets, v.Tokens, v.Revocations) }

// Moved returns a channel that has an element whenever the directory has changed since the last one
// was received.
func (p *Progress) Moved() <-chan struct{} { return p.moved }

func (p *Progress) notify() {
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// secretChanged records that some Users have to be read again because of a version of a Secret that
// the cache holds.
func (p *Progress) secretChanged(users []types.NamespacedName, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, user := range users {
		p.affected.add(user, VersionOf(version), false, nil)
	}
}

// ReadUser returns a function that records that a User and its Secrets are in the directory. It is
// called before they are read from the cache, and the function after they were put there.
func (p *Progress) ReadUser(key types.NamespacedName) (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.affected.objects[key]
	if !ok {
		return func() {}
	}
	return func() {
		p.mu.Lock()
		p.affected.apply(key, at.last)
		p.mu.Unlock()
		p.notify()
	}
}

// NewInformer is NewRetryingInformer for the kinds that the directory is made from, and for others.
func (p *Progress) NewInformer(
	lw toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers,
) toolscache.SharedIndexInformer {
	o := p.observed(object)
	if o == nil {
		return NewRetryingInformer(lw, object, resync, indexers)
	}
	var inner toolscache.SharedIndexInformer
	followed := o.follow(toolscache.ToListerWatcherWithContext(lw), p.before, func() toolscache.Store { return inner.GetStore() })
	inner = newRetryingInformer(followed, object, resync, indexers)
	return inner
}

func (p *Progress) before(ctx context.Context) {
	if p.Before != nil {
		p.Before(ctx)
	}
}

// observed returns the Observed of a kind, or nil if the directory is not made from it.
func (p *Progress) observed(object runtime.Object) *Observed {
	switch object.(type) {
	case *authv1alpha1.User:
		return p.Users
	case *authv1alpha1.Token:
		return p.Tokens
	case *corev1.Secret:
		return p.Secrets
	}
	if object.GetObjectKind().GroupVersionKind() == authv1alpha1.GroupVersion.WithKind("Revocation") {
		return p.Revocations
	}
	return nil
}
