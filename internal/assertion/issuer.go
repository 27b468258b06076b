package assertion

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fetchInterval is the shortest time between two fetches of an issuer's keys.
	fetchInterval = 10 * time.Second
	// fetchTimeout is how long one fetch may take.
	fetchTimeout = 8 * time.Second
	// refreshInterval is how soon a key that its issuer has withdrawn is forgotten.
	refreshInterval = 5 * time.Minute
	// keyWait is how long a request waits for keys at most.
	keyWait = 2 * time.Second
	// maximumWaiting is how many requests wait for the keys of one issuer at once. Others are
	// answered as if they had waited in vain.
	maximumWaiting = 256
)

// Config configures an Issuer.
type Config struct {
	Source
	Audiences []string // of which an assertion must have one
	Cluster   bool     // the issuer of the cluster's ServiceAccounts
	// Fetched receives the result of each fetch, and whether the keys differ from the previous
	// ones. It must not block.
	Fetched func(i *Issuer, changed bool, err error)
	Now     func() time.Time
}

// Issuer is a trusted issuer with its keys, which it keeps while it cannot fetch others. Create it
// with NewIssuer, and call Run to fetch keys. It is safe for concurrent use.
type Issuer struct {
	Config
	known atomic.Pointer[known]

	mu      sync.Mutex
	running context.Context // of Run
	started time.Time       // of the last fetch
	flight  chan struct{}   // closed when the fetch in flight, or the first one, ends; nil if there is none
	failed  bool            // the last fetch has failed
	waiting int
}

// known is what the last successful fetch has returned. It is immutable.
type known struct {
	name string
	keys map[string]*key // by id
	at   time.Time
}

// NewIssuer returns an issuer without keys. Until Run starts, it counts as fetching them.
func NewIssuer(c Config) *Issuer { return &Issuer{Config: c, flight: make(chan struct{})} }

// Name returns the iss claim of the issuer's assertions, or "" while it is not known.
func (i *Issuer) Name() string {
	if i.Issuer != "" {
		return i.Issuer
	}
	if k := i.known.Load(); k != nil {
		return k.name
	}
	return ""
}

// FetchedAt returns the time of the last successful fetch, or the zero time if there was none.
func (i *Issuer) FetchedAt() time.Time {
	if k := i.known.Load(); k != nil {
		return k.at
	}
	return time.Time{}
}

// Run keeps the keys current until ctx ends. It must not be called twice.
func (i *Issuer) Run(ctx context.Context) {
	i.begin(ctx)
	for ctx.Err() == nil {
		if done := i.fetchSoon(); done != nil {
			<-done
		}
		pause := refreshInterval + rand.N(refreshInterval/5) //nolint:gosec // spreads the load, not for security
		if i.hasFailed() {
			pause = fetchInterval
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// begin starts the first fetch.
func (i *Issuer) begin(ctx context.Context) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running, i.started = ctx, i.Now()
	go i.fetch(ctx)
}

func (i *Issuer) hasFailed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// fetchSoon starts a fetch, unless one is in flight or the last one is too recent, and returns a
// channel that is closed when the fetch in flight ends. It returns nil if there is none.
func (i *Issuer) fetchSoon() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.Now()
	if i.flight != nil {
		return i.flight
	}
	if i.running.Err() != nil || now.Sub(i.started) < fetchInterval {
		return nil
	}
	i.flight, i.started = make(chan struct{}), now
	go i.fetch(i.running)
	return i.flight
}

// fetch fetches the keys once. It keeps the previous ones if that fails.
func (i *Issuer) fetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	name, keys, err := i.Source.fetch(ctx)
	changed := false
	if err == nil {
		changed = i.replace(name, keys)
	}
	i.mu.Lock()
	i.failed = err != nil
	close(i.flight)
	i.flight = nil
	i.mu.Unlock()
	i.Fetched(i, changed, err)
}

// replace replaces name and keys, and reports whether they differ from the previous ones.
func (i *Issuer) replace(name string, keys map[string]*key) (changed bool) {
	before := i.known.Load()
	changed = before == nil || before.name != name
	if before != nil {
		keepEqual(keys, before.keys)
		changed = changed || len(keys) != len(before.keys)
		for id, k := range keys {
			changed = changed || before.keys[id] != k
		}
	}
	i.known.Store(&known{name: name, keys: keys, at: i.Now()})
	return changed
}

// key returns the key with an id. It fetches the keys again if none has the id. An assertion
// without an id can be signed only with the sole key of its issuer. The error is UnknownKey,
// ErrNoKeys or that of the context.
func (i *Issuer) key(ctx context.Context, id string) (*key, error) {
	if k := i.find(id); k != nil {
		return k, nil
	}
	if err := i.awaitFetch(ctx); err != nil {
		return nil, err
	}
	if k := i.find(id); k != nil {
		return k, nil
	}
	if i.known.Load() == nil || i.hasFailed() {
		return nil, ErrNoKeys
	}
	return nil, UnknownKey
}

func (i *Issuer) find(id string) *key {
	known := i.known.Load()
	if known == nil {
		return nil
	}
	if id == "" && len(known.keys) == 1 {
		for _, k := range known.keys {
			return k
		}
	}
	return known.keys[id]
}

// has reports whether the issuer still has this name and this very key.
func (i *Issuer) has(name string, k *key) bool {
	known := i.known.Load()
	return known != nil && known.name == name && known.keys[k.id] == k
}

// awaitFetch waits for a fetch for at most keyWait. It returns at once if none is due, or if too
// many others wait. The error is that of the context.
func (i *Issuer) awaitFetch(ctx context.Context) error {
	done := i.fetchSoon()
	if done == nil || !i.beginWaiting() {
		return nil
	}
	defer i.endWaiting()
	timer := time.NewTimer(keyWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (i *Issuer) beginWaiting() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.waiting >= maximumWaiting {
		return false
	}
	i.waiting++
	return true
}

func (i *Issuer) endWaiting() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting--
}
