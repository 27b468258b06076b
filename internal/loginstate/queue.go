package loginstate

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// How often the Queue writes updates: locks at once, failures soon, and the time of the last token
// rarely, because nothing waits for it. The Queue retries a failed write with the next batch.
const (
	failuresEvery = 10 * time.Second
	issuedEvery   = 10 * time.Minute
	// writeInterval spreads the writes of a batch: 20 a second do not burden the API server.
	writeInterval = 50 * time.Millisecond
	// closingTimeout is how long the last batch may take when the process ends.
	closingTimeout = 3 * time.Second
)

// User identifies the user that an update is about.
type User struct {
	Key string // namespace/name
	UID string
}

// Writer writes one update. Callers may repeat a call that returned an error. WriteLogin must write
// nothing when the update changes nothing, or when the user is gone or another user has its key.
type Writer interface {
	WriteLogin(ctx context.Context, user User, update Update) error
}

// Queue collects updates and writes them in batches. Create it with New and run it with Start. All
// methods are safe for concurrent use.
type Queue struct {
	writer Writer
	log    *slog.Logger
	urgent chan struct{}

	mu      sync.Mutex
	pending map[User]Update // at most one for each user in the directory
}

// New returns a Queue that writes with w and logs failures to log.
func New(w Writer, log *slog.Logger) *Queue {
	return &Queue{writer: w, log: log, urgent: make(chan struct{}, 1), pending: map[User]Update{}}
}

// Add adds an update for a user. It does not block.
func (q *Queue) Add(user User, u Update) {
	q.add(user, u)
	if u.LockedUntil.IsZero() {
		return
	}
	select {
	case q.urgent <- struct{}{}:
	default: // Start has been woken already
	}
}

func (q *Queue) add(user User, u Update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending[user] = q.pending[user].merge(u)
}

// Start writes updates until the context ends, and then writes pending failures and locks once
// more. It always returns nil.
func (q *Queue) Start(ctx context.Context) error {
	failures, issued := time.NewTicker(failuresEvery), time.NewTicker(issuedEvery)
	defer failures.Stop()
	defer issued.Stop()
	for {
		select {
		case <-q.urgent:
			q.flush(ctx, func(u Update) bool { return !u.LockedUntil.IsZero() })
		case <-failures.C:
			q.flush(ctx, Update.aboutFailures)
		case <-issued.C:
			q.flush(ctx, func(Update) bool { return true })
		case <-ctx.Done():
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTimeout)
			defer cancel()
			q.flush(closing, Update.aboutFailures)
			return nil
		}
	}
}

// NeedLeaderElection returns false, because every replica writes its own updates.
func (q *Queue) NeedLeaderElection() bool { return false }

// aboutFailures reports whether an update concerns failures or a lock.
func (u Update) aboutFailures() bool { return u.Failures > 0 || u.Cleared || !u.LockedUntil.IsZero() }

// flush writes the pending updates for which wanted reports true, locks first.
func (q *Queue) flush(ctx context.Context, wanted func(Update) bool) {
	locks, others := q.take(wanted)
	ticker := time.NewTicker(writeInterval)
	defer ticker.Stop()
	for _, batch := range []map[User]Update{locks, others} {
		for user, u := range batch {
			q.write(ctx, user, u)
			<-ticker.C
		}
	}
}

func (q *Queue) write(ctx context.Context, user User, u Update) {
	err := q.writer.WriteLogin(ctx, user, u)
	if err == nil {
		return
	}
	if !errors.Is(err, context.Canceled) {
		q.log.WarnContext(ctx, "could not save login state; will retry", "user", user.Key, "error", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending[user] = u.merge(q.pending[user])
}

// take removes the pending updates for which wanted reports true and returns them.
func (q *Queue) take(wanted func(Update) bool) (locks, others map[User]Update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	locks, others = map[User]Update{}, map[User]Update{}
	for user, u := range q.pending {
		if !wanted(u) {
			continue
		}
		delete(q.pending, user)
		if u.LockedUntil.IsZero() {
			others[user] = u
		} else {
			locks[user] = u
		}
	}
	return locks, others
}
