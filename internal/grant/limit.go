package grant

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
)

// The limit on the acts of one user that write: writesPerSecond in the long run, and writesAtOnce
// after a pause.
const (
	writesPerSecond = 5
	writesAtOnce    = 128
)

// sweepBuckets is how many buckets the limiter keeps before it looks for full ones to drop.
const sweepBuckets = 1024

// ErrTooManyRequests means that a user writes faster than the limit allows. A RateError wraps it.
var ErrTooManyRequests = errors.New("too many requests that write; try again later")

// RateError is ErrTooManyRequests with the time after which the request may succeed.
type RateError struct {
	RetryAfter time.Duration
}

func (e *RateError) Error() string { return ErrTooManyRequests.Error() }

// Unwrap makes errors.Is find ErrTooManyRequests.
func (e *RateError) Unwrap() error { return ErrTooManyRequests }

// VoidError means that a token issued now would be void, because the tokens of the user are revoked
// up to a time in the future. It wraps ErrUnavailable.
type VoidError struct {
	RetryAfter time.Duration
}

func (e *VoidError) Error() string {
	return fmt.Sprintf("the tokens of the user are revoked for another %s", e.RetryAfter.Round(time.Second))
}

// Unwrap makes errors.Is find ErrUnavailable.
func (e *VoidError) Unwrap() error { return ErrUnavailable }

// RetryAfter returns the number of seconds, rounded up, after which a client may repeat a request
// that failed with err.
func RetryAfter(err error) int {
	if rate, ok := errors.AsType[*RateError](err); ok {
		return int(math.Ceil(rate.RetryAfter.Seconds()))
	}
	if void, ok := errors.AsType[*VoidError](err); ok {
		return int(math.Ceil(min(void.RetryAfter, time.Hour).Seconds()))
	}
	return authn.RetryAfter(err)
}

// Actor is the user who asks for a change.
type Actor struct {
	UID   string
	Admin bool // may revoke the tokens of other users
}

type actorKey struct{}

// WithActor returns a context that names the user who acts. Without it, users act for themselves.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns the Actor that WithActor put into a context, or the zero Actor.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// limiter has a token bucket for each user. The zero limiter is ready for use.
type limiter struct {
	mu      sync.Mutex
	buckets map[string]bucket
	sweepAt int
}

// bucket is how many writes were left at a time.
type bucket struct {
	left float64
	at   time.Time
}

// after returns the bucket at now, refilled. A clock that moves back refills nothing.
func (b bucket) after(now time.Time) bucket {
	elapsed := max(0, now.Sub(b.at).Seconds())
	return bucket{min(writesAtOnce, b.left+elapsed*writesPerSecond), now}
}

// take takes one write out of a bucket. If there is none, it returns a RateError.
func (l *limiter) take(key string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		l.sweep(now)
		b = bucket{writesAtOnce, now}
	}
	if b = b.after(now); b.left < 1 {
		l.buckets[key] = b
		return &RateError{time.Duration((1 - b.left) / writesPerSecond * float64(time.Second))}
	}
	b.left--
	l.buckets[key] = b
	return nil
}

// sweep drops the buckets that are full, when there are many. The caller holds mu.
func (l *limiter) sweep(now time.Time) {
	if l.buckets == nil {
		l.buckets, l.sweepAt = map[string]bucket{}, sweepBuckets
	}
	if len(l.buckets) < l.sweepAt {
		return
	}
	for key, b := range l.buckets {
		if b.after(now).left >= writesAtOnce {
			delete(l.buckets, key)
		}
	}
	l.sweepAt = max(sweepBuckets, 2*len(l.buckets))
}

// countWrite counts an act that writes about a user. A revocation by an administrator does not count
// against the user whose tokens it ends: no one may use up the limit to keep own tokens alive.
func (g *Grants) countWrite(ctx context.Context, uid string) error {
	key := uid
	if a := ActorFrom(ctx); a.Admin && a.UID != uid {
		key = a.UID + "/" + uid
	}
	return g.writes.take(key, g.Now())
}
