// Package delivery knows what the API server has delivered and what of it has reached the directory, so
// that a replica can say up to which versions everything is in force.
package delivery

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// Progress knows up to which versions the directory has what the API server sent, of all the kinds
// that it is made from. It is safe for concurrent use.
type Progress struct {
	Users, Secrets, Tokens, Revocations, Tenants *Observed

	// Before is called before each request for objects of these kinds; nil: nothing is. It may wait,
	// until its context ends. It is set before the first informer starts.
	Before func(context.Context)

	mu       sync.Mutex
	affected arrivals        // Users that a Secret concerns, by the version of the Secret
	cut      map[string]bool // namespaces whose users are refused
	moved    chan struct{}
}

// Versions are resourceVersions, by kind. The zero value is older than all others.
type Versions struct {
	Users       uint64 `json:"users,string"`
	Secrets     uint64 `json:"secrets,string"`
	Tokens      uint64 `json:"tokens,string"`
	Revocations uint64 `json:"revocations,string"`
	Tenants     uint64 `json:"tenants,string,omitempty"` // not of a namespace
}

// NewProgress returns the progress of a directory that is empty.
func NewProgress() *Progress {
	p := &Progress{
		Users: NewObserved(), Secrets: NewObserved(), Tokens: NewObserved(), Revocations: NewObserved(), Tenants: NewObserved(),
		affected: newArrivals(), moved: make(chan struct{}, 1),
	}
	for _, o := range append(p.ofUsers(), p.Tenants) {
		o.moved = p.notify
	}
	return p
}

// ofUsers returns what is observed in the namespaces of users.
func (p *Progress) ofUsers() []*Observed {
	return []*Observed{p.Users, p.Secrets, p.Tokens, p.Revocations}
}

// Covers reports whether each version is at least as new as the other one.
func (v Versions) Covers(other Versions) bool {
	return v.Users >= other.Users && v.Secrets >= other.Secrets && v.Tokens >= other.Tokens && v.Revocations >= other.Revocations &&
		v.Tenants >= other.Tenants
}

// Max returns the newer version of each kind.
func (v Versions) Max(other Versions) Versions {
	return Versions{
		Users: max(v.Users, other.Users), Secrets: max(v.Secrets, other.Secrets),
		Tokens: max(v.Tokens, other.Tokens), Revocations: max(v.Revocations, other.Revocations), Tenants: max(v.Tenants, other.Tenants),
	}
}

// maximumNamespaces is how many namespaces an InForce names at most. The rest is as new as the oldest
// of all, at most a minute behind: then the API server sends a bookmark to each watch.
const maximumNamespaces = 64

// InForce says up to which versions everything is in a directory.
type InForce struct {
	Versions                       // in all namespaces but those below
	Namespaces map[string]Versions `json:"namespaces,omitempty"` // those in which it is newer, or that cannot be read
}

// In returns the versions up to which everything of a namespace is in the directory.
func (f InForce) In(namespace string) Versions {
	v, ok := f.Namespaces[namespace]
	if !ok {
		return f.Versions
	}
	v.Tenants = f.Tenants
	return v
}

// InForce returns the versions up to which everything is in the directory.
func (p *Progress) InForce() InForce {
	tenants := p.Tenants.Versions() // first: a namespace is followed before its Tenant is in force
	byKind := make([]map[string]uint64, 0, len(p.ofUsers()))
	for _, o := range p.ofUsers() {
		byKind = append(byKind, o.Versions())
	}
	p.mu.Lock() // after the Secrets were asked: a Secret becomes that of its Users before it is recorded
	p.affected.limit(byKind[1])
	cut := p.cut
	p.mu.Unlock()
	all := map[string]Versions{}
	for _, versions := range byKind {
		for name := range versions {
			all[name] = Versions{Users: byKind[0][name], Secrets: byKind[1][name], Tokens: byKind[2][name], Revocations: byKind[3][name]}
		}
	}
	out := summarize(all, cut)
	for _, version := range tenants { // of one namespace
		out.Tenants = version
	}
	return out
}

// summarize returns the versions of all namespaces in a form of limited length. Nothing is in force in
// the namespaces that have not been read, or are cut off, because their users get no verdict. They do
// not count in what holds for the others, unless there are too many of them to be named.
func summarize(all map[string]Versions, cut map[string]bool) InForce {
	out := InForce{Namespaces: map[string]Versions{}}
	var apart, names []string
	for name, v := range all {
		if !v.begun() || cut[name] {
			apart, all[name] = append(apart, name), Versions{}
		} else {
			names = append(names, name)
		}
	}
	if len(apart) > maximumNamespaces {
		apart, names = nil, slices.Concat(apart, names)
	}
	for i, name := range names {
		if i == 0 {
			out.Versions = all[name]
		}
		out.Versions = out.min(all[name])
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(all[b].latest(), all[a].latest()) })
	for _, name := range slices.Concat(apart, names)[:min(len(all), maximumNamespaces)] {
		if all[name] != out.Versions {
			out.Namespaces[name] = all[name]
		}
	}
	return out
}

// begun reports whether every kind has been read.
func (v Versions) begun() bool {
	return v.Users > 0 && v.Secrets > 0 && v.Tokens > 0 && v.Revocations > 0
}

func (v Versions) min(other Versions) Versions {
	return Versions{
		Users: min(v.Users, other.Users), Secrets: min(v.Secrets, other.Secrets),
		Tokens: min(v.Tokens, other.Tokens), Revocations: min(v.Revocations, other.Revocations),
	}
}

func (v Versions) latest() uint64 { return max(v.Users, v.Secrets, v.Tokens, v.Revocations) }

// SetCut records which namespaces cannot be read, so that what holds there says nothing about others.
func (p *Progress) SetCut(namespaces []string) {
	cut := make(map[string]bool, len(namespaces))
	for _, namespace := range namespaces {
		cut[namespace] = true
	}
	p.mu.Lock()
	p.cut = cut
	p.mu.Unlock()
	p.notify()
}

// Pending reports whether anything that the API server has sent of a namespace is not in the directory.
func (p *Progress) Pending(namespace string) bool {
	for _, o := range p.ofUsers() {
		if o.pending(namespace) {
			return true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.affected.in(namespace)
}

// Unfollow forgets everything of a namespace that is no longer followed.
func (p *Progress) Unfollow(namespace string) {
	for _, o := range p.ofUsers() {
		o.unfollow(namespace)
	}
}

// PutTenants records that these are the Tenants that are in force.
func (p *Progress) PutTenants(all []*authv1alpha1.Tenant) {
	versions := map[types.NamespacedName]string{}
	for _, t := range all {
		versions[keyOf(t)] = t.ResourceVersion
	}
	p.Tenants.recordAll(versions)
}

// Moved returns a channel that has an element whenever the directory has changed since the last one
// was received.
func (p *Progress) Moved() <-chan struct{} { return p.moved }

func (p *Progress) notify() {
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// SecretChanged records that some Users have to be read again because of a version of a Secret that
// the cache holds.
func (p *Progress) SecretChanged(users []types.NamespacedName, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, user := range users {
		p.affected.add(user, VersionOf(version), false)
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

// Await is called before each request for objects. It waits as long as Before does.
func (p *Progress) Await(ctx context.Context) {
	if p.Before != nil {
		p.Before(ctx)
	}
}
