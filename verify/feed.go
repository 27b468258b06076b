package verify

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const maximumWait = 30 * time.Second

// revocations are what makes tokens void, as docs/revocations.md describes it.
type revocations struct {
	mu     sync.RWMutex
	users  map[string]userState
	tokens map[tokenKey]int64 // the end of each revoked token, in UNIX time
	// unknown are the Tenants of which the service does not know what is void; an empty text stands for
	// users of none.
	unknown []string
	fresh   atomic.Pointer[time.Time]
}

type userState struct {
	issuedBefore int64
	goneUntil    time.Time // zero: not gone
}

type tokenKey struct{ uid, id string }

// answer is an answer of the feed.
type answer struct {
	Cursor          string    `json:"cursor"`
	AsOf            time.Time `json:"as_of"`
	Complete        bool      `json:"complete"`
	More            bool      `json:"more"`
	MaximumLifetime int64     `json:"maximum_lifetime"`
	UnknownTenants  []string  `json:"unknown_tenants"`
	Users           []struct {
		UID          string `json:"uid"`
		IssuedBefore int64  `json:"issued_before"`
		Gone         bool   `json:"gone"`
	} `json:"users"`
	Tokens []struct {
		ID        string `json:"id"`
		UID       string `json:"uid"`
		ExpiresAt int64  `json:"expires_at"`
	} `json:"tokens"`
}

func (r *revocations) reset() {
	r.users, r.tokens = map[string]userState{}, map[tokenKey]int64{}
}

// stale reports whether the last sign of life is too old at now, or there was none.
func (r *revocations) stale(now time.Time, bound time.Duration) bool {
	fresh := r.fresh.Load()
	return fresh == nil || now.Sub(*fresh) > bound
}

// check returns ErrRevoked if the token is void, and ErrStale if it may be.
func (r *revocations) check(id *Identity) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if u, ok := r.users[id.UID]; ok && (!u.goneUntil.IsZero() || id.IssuedAt.Unix() < u.issuedBefore) {
		return ErrRevoked
	}
	if end, ok := r.tokens[tokenKey{id.UID, id.TokenID}]; ok && end != 0 {
		return ErrRevoked
	}
	if slices.Contains(r.unknown, id.Tenant) {
		return ErrStale
	}
	return nil
}

// add takes in an answer. The caller holds mu.
func (r *revocations) add(a *answer, now time.Time) {
	for _, u := range a.Users {
		switch {
		case u.Gone:
			r.users[u.UID] = userState{goneUntil: now.Add(time.Duration(a.MaximumLifetime) * time.Second)}
		case u.IssuedBefore == 0:
			delete(r.users, u.UID)
		default:
			r.users[u.UID] = userState{issuedBefore: u.IssuedBefore}
		}
	}
	for _, t := range a.Tokens {
		if key := (tokenKey{t.UID, t.ID}); t.ExpiresAt == 0 {
			delete(r.tokens, key)
		} else {
			r.tokens[key] = t.ExpiresAt
		}
	}
}

// forget drops what concerns ended tokens only. The caller holds mu.
func (r *revocations) forget(now time.Time, lifetime time.Duration) {
	maps.DeleteFunc(r.tokens, func(_ tokenKey, end int64) bool { return end <= now.Unix() })
	maps.DeleteFunc(r.users, func(_ string, u userState) bool {
		if !u.goneUntil.IsZero() {
			return !u.goneUntil.After(now)
		}
		return time.Unix(u.issuedBefore, 0).Add(lifetime).Before(now)
	})
}

// follower is the state of followRevocations between its calls.
type follower struct {
	cursor  string
	listing []*answer // of a whole list that has not ended yet; nil: none
	forget  time.Time
}

// followRevocations keeps the revocations up to date until ctx ends.
func (v *Verifier) followRevocations(ctx context.Context) {
	f, wait := follower{}, min(maximumWait, max(time.Second, v.MaximumStaleness/3)).Truncate(time.Second)
	for {
		begun := time.Now()
		a, age, err := v.nextAnswer(ctx, f.cursor, wait)
		if ctx.Err() != nil {
			return
		}
		v.updated("revocations", err)
		pause := time.Duration(0)
		switch {
		case err != nil:
			pause = time.Second/4 + rand.N(time.Second/2) - time.Since(begun) //nolint:gosec // spreads retries; not for security
		case len(a.Users)+len(a.Tokens) == 0 && !a.Complete && time.Since(begun) < wait/2:
			pause = time.Second/2 + rand.N(time.Second/2) //nolint:gosec // spreads retries; the service is stopping, or lets no more wait
		}
		if err == nil {
			v.take(&f, a, time.Now().Add(-age))
		}
		if pause > 0 && !sleep(ctx, pause) {
			return
		}
	}
}

// nextAnswer asks for what has changed since a cursor. The age is how old the answer was when it was
// sent, by the clock of the service, or up to a second more.
func (v *Verifier) nextAnswer(ctx context.Context, cursor string, wait time.Duration) (*answer, time.Duration, error) {
	query := url.Values{"wait": {strconv.Itoa(int(wait.Seconds())) + "s"}}
	if cursor != "" {
		query.Set("after", cursor)
	}
	a := &answer{}
	ctx, cancel := context.WithTimeout(ctx, wait+answerTime)
	defer cancel()
	header, err := v.call(ctx, "/oauth2/revocations?"+query.Encode(), nil, a)
	if err != nil {
		return nil, 0, err
	}
	sent, err := http.ParseTime(header.Get("Date"))
	return a, max(0, sent.Add(time.Second).Sub(a.AsOf)), err // that header is rounded down to a second
}

// take takes in an answer that was right at a time. What was known holds until a whole list has ended.
func (v *Verifier) take(f *follower, a *answer, at time.Time) {
	f.cursor = a.Cursor
	r, now := &v.revoked, time.Now()
	if a.Complete {
		f.listing = []*answer{}
	}
	if f.listing != nil {
		if f.listing = append(f.listing, a); a.More {
			return
		}
	}
	r.mu.Lock()
	if f.listing != nil {
		maps.DeleteFunc(r.users, func(_ string, u userState) bool { return u.goneUntil.IsZero() })
		clear(r.tokens)
		for _, page := range f.listing {
			r.add(page, now)
		}
		f.listing = nil
	} else {
		r.add(a, now)
	}
	r.unknown = a.UnknownTenants
	if now.After(f.forget) {
		f.forget = now.Add(time.Minute)
		r.forget(now, time.Duration(a.MaximumLifetime)*time.Second)
	}
	r.mu.Unlock()
	if !a.More {
		r.fresh.Store(&at)
		v.settle()
	}
}

// settle declares the Verifier ready if it is.
func (v *Verifier) settle() {
	if v.keys.Load() == nil || v.revoked.fresh.Load() == nil {
		return
	}
	v.revoked.mu.Lock()
	defer v.revoked.mu.Unlock()
	select {
	case <-v.ready:
	default:
		close(v.ready)
	}
}
