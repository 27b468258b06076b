package loginstate

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// How often the Queue writes updates: urgent ones at once, failures soon, and the time of the last
// token rarely, because nothing waits for it. The Queue retries a failed write with the next batch.
const (
	failuresEvery = 10 * time.Second
	issuedEvery   = 10 * time.Minute
	// writeInterval spreads the writes of a batch: 20 a second do not burden the API server.
	writeInterval = 50 * time.Millisecond
	// retryInterval is how long an urgent update waits after a write that failed.
	retryInterval = time.Second
	// closingTimeout is how long the last batch may take when the process ends.
	closingTimeout = 3 * time.Second
)

// User identifies the user that an update is about.
type User struct {
	Key string // namespace/name
	UID string
}

// Writer writes one update. Callers may repeat a call that returned an error. WriteLogin must write
// nothing when the update changes nothing, or when the user is gone or another user has its key. It
// is called for several users at a time, but only once at a time for each.
type Writer interface {
	WriteLogin(ctx context.Context, user User, update Update) error
}

// Queue collects updates and writes them in batches. Urgent updates have a writer of their own and
// never wait behind others. Create it with New and run it with Start. All methods are safe for
// concurrent use.
type Queue struct {
	writer Writer
	log    *slog.Logger
	urgent chan struct{}

	mu      sync.Mutex
	pending map[User]Update // at most one for each user in the directory
	writing map[User]bool   // those whose update is being written
}

// New returns a Queue that writes with w and logs failures to log.
func New(w Writer, log *slog.Logger) *Queue {
	return &Queue{writer: w, log: log, urgent: make(chan struct{}, 1), pending: map[User]Update{}, writing: map[User]bool{}}
}

// Add adds an update for a user. It does not block.
func (q *Queue) Add(user User, u Update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending[user] = q.pending[user].merge(u)
	if q.pending[user].isUrgent() {
		q.wake()
	}
}

// wake makes the writer of urgent updates look for some.
func (q *Queue) wake() {
	select {
	case q.urgent <- struct{}{}:
	default: // it has been woken already
	}
}

// Start writes updates until the context ends, and then writes what is pending once more: locks
// first, then failures, then the times of last tokens. It always returns nil.
func (q *Queue) Start(ctx context.Context) error {
	var both sync.WaitGroup
	both.Go(func() { q.writeUrgent(ctx) })
	both.Go(func() { q.writeBatches(ctx) })
	both.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTimeout)
	defer cancel()
	q.flush(closing, 0, Update.isUrgent)
	q.flush(closing, 0, Update.aboutFailures)
	q.flush(closing, 0, func(Update) bool { return true })
	return nil
}

// writeUrgent writes urgent updates as soon as they arrive, without the pauses of a batch.
func (q *Queue) writeUrgent(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.urgent:
			if !q.flush(ctx, 0, Update.isUrgent) {
				pause(ctx, retryInterval)
				q.wake()
			}
		}
	}
}

// writeBatches writes all other updates.
func (q *Queue) writeBatches(ctx context.Context) {
	failures, issued := time.NewTicker(failuresEvery), time.NewTicker(issuedEvery)
	defer failures.Stop()
	defer issued.Stop()
	for {
		select {
		case <-failures.C:
			q.flush(ctx, writeInterval, Update.aboutFailures)
		case <-issued.C:
			q.flush(ctx, writeInterval, func(Update) bool { return true })
		case <-ctx.Done():
			return
		}
	}
}

// NeedLeaderElection returns false, because every replica writes its own updates.
func (q *Queue) NeedLeaderElection() bool { return false }

// aboutFailures reports whether an update concerns failures or a lock.
func (u Update) aboutFailures() bool { return u.Failures > 0 || u.Cleared || u.isUrgent() }

// flush writes the pending updates for which wanted reports true, with a pause after each, and reports
// whether all were written.
func (q *Queue) flush(ctx context.Context, between time.Duration, wanted func(Update) bool) bool {
	written := true
	for _, user := range q.users(wanted) {
		if ctx.Err() != nil {
			return false
		}
		u, ok := q.take(user)
		if !ok {
			continue
		}
		written = q.write(ctx, user, u) && written
		pause(ctx, between)
	}
	return written
}

func pause(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (q *Queue) write(ctx context.Context, user User, u Update) bool {
	err := q.writer.WriteLogin(ctx, user, u)
	if err != nil && !errors.Is(err, context.Canceled) {
		q.log.WarnContext(ctx, "could not save login state; will retry", "user", user.Key, "error", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.writing, user)
	if err != nil {
		q.pending[user] = u.merge(q.pending[user])
	}
	if q.pending[user].isUrgent() {
		q.wake() // it failed, or became urgent while another update of the user was being written
	}
	return err == nil
}

// users returns the users with a pending update for which wanted reports true.
func (q *Queue) users(wanted func(Update) bool) []User {
	q.mu.Lock()
	defer q.mu.Unlock()
	var users []User
	for user, u := range q.pending {
		if wanted(u) {
			users = append(users, user)
		}
	}
	return users
}

// take removes the pending update of a user and returns it, unless another one is being written.
func (q *Queue) take(user User) (u Update, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u, ok = q.pending[user]
	if !ok || q.writing[user] {
		return Update{}, false
	}
	delete(q.pending, user)
	q.writing[user] = true
	return u, true
}
