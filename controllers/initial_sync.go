package controllers

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// InitialSync compares the directory with the last list of a namespace every compareInterval. It makes
// a new list if nothing has reached the directory for its current patience, which starts at
// firstPatience and doubles up to maximumPatience, or if the directory is still incomplete after
// maximumPatience. A new list is necessary because no event reports an object that is deleted between
// a list and the start of a watch.
const (
	compareInterval = 50 * time.Millisecond
	firstPatience   = 500 * time.Millisecond
	maximumPatience = 10 * time.Second
)

const (
	// patienceWithNamespace is how long the service waits at start for a namespace that cannot be read,
	// and how long the API server must refuse a namespace before its users are refused.
	patienceWithNamespace = 30 * time.Second
	// patienceWithLoading is how long it waits at start for a namespace of --namespaces that can be read
	// and is not complete. A Tenant that has so much to read must not hold up the others.
	patienceWithLoading = 2 * time.Minute
	// outageInterval is how often the namespaces are looked at.
	outageInterval = 500 * time.Millisecond
)

// InitialSync marks the directory as synced once it is at least as new as the API server was when
// the process started. A synced informer is not enough: its objects may not have been reconciled
// yet, and its list may come from an API server that lags behind, so that a revoked user would be
// valid again after a restart. InitialSync only compares. It never writes a user itself, because a
// second writer could replace a newer version with an older one.
//
// It does so for each namespace by itself. A namespace that cannot be read, or comes later, is an
// outage of the directory until it has been compared, and never holds up the others for longer than
// patienceWithNamespace.
type InitialSync struct {
	directory  *directory.Directory
	namespaces *informer.Namespaces
	tenants    *tenants
	progress   *delivery.Progress
	api        informer.Lister
	changed    func(namespace string) // is called when a namespace becomes readable or unreadable

	mu       sync.Mutex
	compared map[string]bool // the namespaces that are followed; true: the directory is as new as they were
	refused  map[string]bool // the namespaces that are cut off; true: they are being compared again
	cut      []string        // the namespaces of the outage, sorted
}

// sources returns what InitialSync compares in a namespace, in this order.
func (s *InitialSync) sources(namespace string) []syncSource {
	source := func(kind string, o *delivery.Observed) syncSource {
		return syncSource{kind, o, func(ctx context.Context) (informer.Listing, error) {
			return s.namespaces.List(ctx, kind, namespace, s.api)
		}}
	}
	return []syncSource{
		source(informer.User, s.progress.Users), source(informer.Revocation, s.progress.Revocations), source(informer.Token, s.progress.Tokens),
	}
}

// NeedLeaderElection returns false, because every replica waits for its own directory.
func (*InitialSync) NeedLeaderElection() bool { return false }

// begin makes a namespace that is about to be followed an outage until it has been compared.
func (s *InitialSync) begin(ctx context.Context, namespace string) {
	for _, source := range s.sources(namespace) {
		source.observed.Begin(namespace)
	}
	s.mu.Lock()
	s.compared[namespace] = false
	s.update()
	s.mu.Unlock()
	go s.compare(ctx, namespace)
}

// end forgets a namespace that is no longer followed.
func (s *InitialSync) end(namespace string) {
	s.finish(namespace)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.compared, namespace)
	delete(s.refused, namespace)
	s.update()
}

func (s *InitialSync) finish(namespace string) {
	for _, source := range s.sources(namespace) {
		source.observed.Finish(namespace)
	}
}

// compare returns when the directory is as new as a namespace was, or the context ends.
func (s *InitialSync) compare(ctx context.Context, namespace string) {
	s.namespaces.AwaitFilled(ctx, namespace)
	for _, source := range s.sources(namespace) {
		source.run(log.IntoContext(ctx, log.FromContext(ctx).WithName("initial-sync").WithValues("namespace", namespace, "kind", source.kind)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return // another one may compare it by now
	}
	s.finish(namespace)
	if _, followed := s.compared[namespace]; followed {
		s.compared[namespace] = true
		s.update()
	}
}

// Start marks the directory as synced when every namespace has been compared, or after
// patienceWithNamespace without those that cannot be read. It then keeps the outage of the directory
// up to date until the context ends.
func (s *InitialSync) Start(ctx context.Context) error {
	started := time.Now()
	for informer.Sleep(ctx, compareInterval) {
		if s.complete(time.Since(started)) {
			break
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the process is ending; nothing has failed
	}
	debug.FreeOSMemory() // filling the directory leaves as much garbage as data
	s.look(ctx)
	s.directory.MarkSynced()
	log.FromContext(ctx).WithName("initial-sync").Info("directory synced", "users", s.directory.Len(), "unreadableNamespaces", s.unreadable())
	for informer.Sleep(ctx, outageInterval) {
		s.look(ctx)
	}
	return nil
}

// complete reports whether all namespaces have been compared that the service must wait for after this
// long. Without a single one it would serve nobody.
func (s *InitialSync) complete(waited time.Duration) bool {
	if !s.tenants.known.Load() && waited < patienceWithNamespace {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := false
	for namespace, compared := range s.compared {
		if !compared && waited < s.patienceWith(namespace) {
			return false
		}
		one = one || compared
	}
	return one
}

// patienceWith returns how long the service waits for a namespace that has not been compared yet.
func (s *InitialSync) patienceWith(namespace string) time.Duration {
	_, refusal := s.namespaces.Refused(namespace)
	if policy := s.tenants.config.Load().Policy(namespace); refusal == nil && policy != nil && policy.Tenant == "" {
		return patienceWithLoading
	}
	return patienceWithNamespace
}

// look finds the namespaces that the API server has refused for long, and those that can be read
// again.
func (s *InitialSync) look(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for namespace := range s.compared {
		lasting, refusal := s.namespaces.Refused(namespace)
		comparing, cut := s.refused[namespace]
		switch {
		case refusal != nil && !cut && lasting >= patienceWithNamespace:
			s.refused[namespace] = false
		case refusal == nil && cut && !comparing:
			s.refused[namespace] = true
			go s.readmit(ctx, namespace)
		}
	}
	s.update()
}

// readmit ends the outage of a namespace that can be read again when the directory is as new as the
// API server was after that. Its watch may have missed what happened meanwhile, and lists again.
func (s *InitialSync) readmit(ctx context.Context, namespace string) {
	done := s.caughtUp(ctx, namespace)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, cut := s.refused[namespace]; !cut {
		return // it is no longer followed
	}
	s.refused[namespace] = false
	if done {
		delete(s.refused, namespace)
	}
	s.update()
}

// caughtUp reports whether the directory is as new as lists that are made now. It waits for that for
// maximumPatience.
func (s *InitialSync) caughtUp(ctx context.Context, namespace string) bool {
	ctx, cancel := context.WithTimeout(ctx, maximumPatience)
	defer cancel()
	for _, kind := range informer.Kinds() {
		list, err := s.api.List(ctx, informer.KindOf(kind), namespace)
		if err != nil {
			return false
		}
		for !s.namespaces.Holds(kind, list) {
			if !informer.Sleep(ctx, compareInterval) {
				return false
			}
		}
	}
	for s.progress.Pending(namespace) {
		if !informer.Sleep(ctx, compareInterval) {
			return false
		}
	}
	return true
}

// update declares the outage. The caller holds mu.
func (s *InitialSync) update() {
	var cut []string
	for namespace, compared := range s.compared {
		if _, refused := s.refused[namespace]; refused || !compared {
			cut = append(cut, namespace)
		}
	}
	slices.Sort(cut)
	before := s.cut
	if slices.Equal(before, cut) {
		return
	}
	s.cut = cut
	either := slices.Concat(before, cut)
	s.progress.SetCut(either) // nothing counts as in force that gets no verdict
	s.directory.SetOutage(s.outage(cut))
	s.progress.SetCut(cut)
	for _, namespace := range either {
		_, was := slices.BinarySearch(before, namespace)
		if _, is := slices.BinarySearch(cut, namespace); is != was {
			s.changed(namespace)
		}
	}
}

func (s *InitialSync) outage(cut []string) *directory.Outage {
	if len(cut) == 0 {
		return nil
	}
	o := &directory.Outage{Namespaces: map[string]bool{}, MayHave: s.tenants.mayHave(cut), Tenants: s.tenants.of(cut)}
	for _, namespace := range cut {
		o.Namespaces[namespace] = true
	}
	return o
}

// unreadable returns the namespaces whose users are refused, sorted.
func (s *InitialSync) unreadable() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut
}

// syncSource is one kind of object in a namespace.
type syncSource struct {
	kind     string
	observed *delivery.Observed
	// list returns what the API server holds, or held at some time after the namespace was followed.
	list func(context.Context) (informer.Listing, error)
}

// run returns when the directory has caught up, or the context ends.
func (s syncSource) run(ctx context.Context) {
	for patience := firstPatience; ctx.Err() == nil && !s.catchUp(ctx, patience); {
		patience = min(2*patience, maximumPatience)
	}
}

// catchUp lists once and reports whether the directory became at least as new as the list. It gives
// up if nothing has reached the directory for patience, and after maximumPatience in any case.
func (s syncSource) catchUp(ctx context.Context, patience time.Duration) bool {
	want, err := s.list(ctx)
	if err != nil {
		log.FromContext(ctx).Error(err, "could not list objects to compare with the directory; will retry")
		informer.Sleep(ctx, patience) // do not retry at once if the API server fails at once
		return false
	}
	listed := time.Now()
	count, lastChange := s.observed.Count(), listed
	for {
		behind, waiting := want.Behind(s.observed)
		if !waiting {
			return true
		}
		if n := s.observed.Count(); n != count {
			count, lastChange = n, time.Now()
		}
		if time.Since(lastChange) > patience || time.Since(listed) > maximumPatience || !informer.Sleep(ctx, compareInterval) {
			log.FromContext(ctx).Info("directory incomplete; will list again", "waitingFor", behind.String())
			return false
		}
	}
}
