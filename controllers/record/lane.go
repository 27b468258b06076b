package record

import (
	"context"
	"slices"
	"sync"
)

// lane bounds how many operations run at once and shares the bound out among users: at most one
// operation of a user runs at a time, and users take turns. Administrators go first, and have a
// reserve of their own. It must not be copied after first use.
type lane struct {
	slots   int // for everyone
	reserve int // for administrators, in addition

	mu      sync.Mutex
	running int
	queues  map[string]*userQueue
	admins  []*userQueue // administrators whose turn may come, the next one first
	others  []*userQueue // likewise everyone else
}

// userQueue is the operations of one user that wait. It is in admins or others of its lane while
// operations wait and none runs.
type userQueue struct {
	user    string
	admin   bool
	waiting []chan struct{} // closed when the operation may run
	running bool
}

// enter waits for the turn of an operation of a user, and returns the function that ends the
// operation. The error is that of the context, if it ends first.
func (l *lane) enter(ctx context.Context, user string, admin bool) (leave func(), err error) {
	turn := make(chan struct{})
	q := l.join(user, admin, turn)
	select {
	case <-turn:
		return func() { l.leave(q) }, nil
	case <-ctx.Done():
		l.abandon(q, turn)
		return nil, ctx.Err()
	}
}

func (l *lane) join(user string, admin bool, turn chan struct{}) *userQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queues == nil {
		l.queues = map[string]*userQueue{}
	}
	if admin { // of whom the same user may have both kinds of operations
		user = "administrator " + user
	}
	q := l.queues[user]
	if q == nil {
		q = &userQueue{user: user, admin: admin}
		l.queues[user] = q
	}
	q.waiting = append(q.waiting, turn)
	if !q.running && len(q.waiting) == 1 {
		l.line(q)
	}
	l.dispatch()
	return q
}

// line puts a queue behind the others that wait for their turn. The caller holds mu.
func (l *lane) line(q *userQueue) {
	if q.admin {
		l.admins = append(l.admins, q)
	} else {
		l.others = append(l.others, q)
	}
}

// dispatch starts what may run. The caller holds mu.
func (l *lane) dispatch() {
	for len(l.admins) > 0 && l.running < l.slots+l.reserve {
		l.admins = l.start(l.admins)
	}
	for len(l.others) > 0 && l.running < l.slots {
		l.others = l.start(l.others)
	}
}

// start runs an operation of the first queue, and returns the other queues. The caller holds mu.
func (l *lane) start(queues []*userQueue) []*userQueue {
	q := queues[0]
	turn := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.running = true
	l.running++
	close(turn)
	return slices.Delete(queues, 0, 1)
}

func (l *lane) leave(q *userQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	q.running = false
	if len(q.waiting) > 0 {
		l.line(q)
	} else {
		delete(l.queues, q.user)
	}
	l.dispatch()
}

// abandon removes an operation that no longer waits, or ends it if its turn has just come.
func (l *lane) abandon(q *userQueue, turn chan struct{}) {
	l.mu.Lock()
	i := slices.Index(q.waiting, turn)
	if i < 0 {
		l.mu.Unlock()
		l.leave(q)
		return
	}
	defer l.mu.Unlock()
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if q.running || len(q.waiting) > 0 {
		return
	}
	isQueue := func(other *userQueue) bool { return other == q }
	l.admins, l.others = slices.DeleteFunc(l.admins, isQueue), slices.DeleteFunc(l.others, isQueue)
	delete(l.queues, q.user)
}
