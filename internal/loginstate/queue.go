package loginstate

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// When notes are written: a lock at once, failures soon, and the time of the last token when nobody minds. A failed write is
// tried again with the next batch.
const (
	failuresEvery = 10 * time.Second
	issuedEvery   = 10 * time.Minute
	// pace spreads the writes of a batch: 20 a second let the API server be.
	pace = 50 * time.Millisecond
	// closingTime is how long the last batch may take when the process ends.
	closingTime = 3 * time.Second
)

// User names the user that a note is about.
type User struct {
	Key string // namespace/name
	UID string
}

// Writer writes one note. It must be safe to call again with the same note when it returned an error, and must write nothing
// when the note changes nothing or the user is another by now.
type Writer interface {
	WriteLogin(ctx context.Context, user User, update Update) error
}

// Queue gathers notes until they are written. Create it with New and start it with Start. All methods are safe for
// concurrent use.
type Queue struct {
	writer Writer
	log    *slog.Logger
	urgent chan struct{}

	mu      sync.Mutex
	pending map[User]Update // at most one for each user of the directory
}

// New returns a ledger that writes with w.
func New(w Writer, log *slog.Logger) *Queue {
	return &Queue{writer: w, log: log, urgent: make(chan struct{}, 1), pending: map[User]Update{}}
}

// Add adds news about a user. It does not block.
func (l *Queue) Add(user User, n Update) {
	l.add(user, n)
	if n.LockedUntil.IsZero() {
		return
	}
	select {
	case l.urgent <- struct{}{}:
	default: // already called
	}
}

func (l *Queue) add(user User, n Update) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending[user] = l.pending[user].merge(n)
}

// Start writes notes until the context ends, and then what concerns failures and locks once more.
func (l *Queue) Start(ctx context.Context) error {
	failures, issued := time.NewTicker(failuresEvery), time.NewTicker(issuedEvery)
	defer failures.Stop()
	defer issued.Stop()
	for {
		select {
		case <-l.urgent:
			l.flush(ctx, func(n Update) bool { return !n.LockedUntil.IsZero() })
		case <-failures.C:
			l.flush(ctx, Update.aboutFailures)
		case <-issued.C:
			l.flush(ctx, func(Update) bool { return true })
		case <-ctx.Done():
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTime)
			defer cancel()
			l.flush(closing, Update.aboutFailures)
			return nil
		}
	}
}

// NeedLeaderElection says that every replica writes its own notes.
func (l *Queue) NeedLeaderElection() bool { return false }

func (n Update) aboutFailures() bool { return n.Failures > 0 || n.Cleared || !n.LockedUntil.IsZero() }

// flush writes the pending notes that are wanted, locks first.
func (l *Queue) flush(ctx context.Context, wanted func(Update) bool) {
	locks, others := l.take(wanted)
	pace := time.NewTicker(pace)
	defer pace.Stop()
	for _, batch := range []map[User]Update{locks, others} {
		for user, n := range batch {
			l.write(ctx, user, n)
			<-pace.C
		}
	}
}

func (l *Queue) write(ctx context.Context, user User, n Update) {
	err := l.writer.WriteLogin(ctx, user, n)
	if err == nil {
		return
	}
	if !errors.Is(err, context.Canceled) {
		l.log.WarnContext(ctx, "login news are not written yet and will be tried again", "user", user.Key, "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending[user] = n.merge(l.pending[user])
}

func (l *Queue) take(wanted func(Update) bool) (locks, others map[User]Update) {
	l.mu.Lock()
	defer l.mu.Unlock()
	locks, others = map[User]Update{}, map[User]Update{}
	for user, n := range l.pending {
		if !wanted(n) {
			continue
		}
		delete(l.pending, user)
		if n.LockedUntil.IsZero() {
			others[user] = n
		} else {
			locks[user] = n
		}
	}
	return locks, others
}
