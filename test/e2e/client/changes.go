package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The object that experiments change, and its two passwords. The Secret holds the hash of one of them.
const (
	changedUser   = "e2e-changed"
	changedLogin  = "e2e-changed"
	changedSecret = "e2e-changed-password"
	hashKey       = "passwordHash"
	pollEvery     = 5 * time.Millisecond
	tooLong       = 30 * time.Second
)

// credential is a password with its argon2id hash, those of the samples.
type credential struct{ password, hash string }

func credentials() [2]credential {
	return [2]credential{
		{"Harbour-Thimble-58-Maple", "$argon2id$v=19$m=19456,t=2,p=1$UlBho86oWvU+eHm22Xod8w$xds4o4qGCFJcy19tCSvkmVp3yXfUn71a4NGcXw2Onrs"},
		{"Copper-Meadow-41-Falcon", "$argon2id$v=19$m=19456,t=2,p=1$BYuPWtBB/6gioJWr3x+yhg$YnSD5ogralRnTD+P/LPmoNjgcOQN3jCGcWEoopvf4Og"},
	}
}

// latencies are the times from before a change was sent to when the last replica followed it.
type latencies struct {
	Tries   int     `json:"tries"`
	P50     float64 `json:"p50Ms"`
	P99     float64 `json:"p99Ms"`
	Longest float64 `json:"longestMs"`
}

func sumUp(took []time.Duration) latencies {
	slices.Sort(took)
	n := len(took)
	at := func(percent int) float64 { return ms(took[max(0, (n*percent+99)/100-1)]) } // nearest rank
	return latencies{Tries: n, P50: at(50), P99: at(99), Longest: ms(took[n-1])}
}

// revocations revokes and restores a user, and takes the time until every replica refuses both login and token.
func revocations(ctx context.Context, s *settings) (any, error) {
	c, replicas, err := partners(s)
	if err != nil {
		return nil, err
	}
	password := credentials()[0].password
	var took []time.Duration
	for range s.tries {
		if err := c.setRevoked(ctx, changedUser, false); err != nil {
			return nil, err
		}
		if _, err := onAll(ctx, tooLong, replicas, func(ctx context.Context, r *service) (bool, error) {
			return accepted(r.authorize(ctx, changedLogin, password))
		}); err != nil {
			return nil, err
		}
		token, err := replicas[0].newToken(ctx, changedLogin, password)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := c.setRevoked(ctx, changedUser, true); err != nil {
			return nil, err
		}
		last, err := onAll(ctx, tooLong, replicas, func(ctx context.Context, r *service) (bool, error) {
			good, err := accepted(r.authenticate(ctx, token))
			if good || err != nil {
				return false, err
			}
			good, err = accepted(r.authorize(ctx, changedLogin, password))
			return !good, err
		})
		if err != nil {
			return nil, err
		}
		took = append(took, last.Sub(begin))
	}
	return sumUp(took), c.setRevoked(ctx, changedUser, false)
}

// secretChanges swaps the hash in a Secret, and takes the time until every replica refuses the old password and accepts the
// new one. It asks with the old one, which is remembered as long as it is good: asking with the new one too early would
// count as guessing.
func secretChanges(ctx context.Context, s *settings) (any, error) {
	c, replicas, err := partners(s)
	if err != nil {
		return nil, err
	}
	pair := credentials()
	var took []time.Duration
	for i := range s.tries {
		old, fresh := pair[i%2], pair[(i+1)%2]
		if _, err := onAll(ctx, tooLong, replicas, func(ctx context.Context, r *service) (bool, error) {
			return accepted(r.authorize(ctx, changedLogin, old.password))
		}); err != nil {
			return nil, fmt.Errorf("before change %d: %w", i, err)
		}
		begin := time.Now()
		if err := c.setSecret(ctx, changedSecret, hashKey, fresh.hash); err != nil {
			return nil, err
		}
		last, err := onAll(ctx, tooLong, replicas, func(ctx context.Context, r *service) (bool, error) {
			good, err := accepted(r.authorize(ctx, changedLogin, old.password))
			if good || err != nil {
				return false, err
			}
			good, err = accepted(r.authorize(ctx, changedLogin, fresh.password))
			if err == nil && !good {
				err = errors.New("a replica refuses both passwords")
			}
			return good, err
		})
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		took = append(took, last.Sub(begin))
	}
	return sumUp(took), c.setSecret(ctx, changedSecret, hashKey, pair[0].hash)
}

func partners(s *settings) (*cluster, []*service, error) {
	c, err := newCluster()
	if err != nil {
		return nil, nil, err
	}
	replicas, err := dialAll(s)
	return c, replicas, err
}

// accepted reads a verdict. Anything but yes and no is an error.
func accepted(a answer, err error) (bool, error) {
	switch {
	case err != nil:
		return false, err
	case a.status == http.StatusOK:
		return true, nil
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return false, nil
	default:
		return false, fmt.Errorf("status %d: %s", a.status, a.body)
	}
}

// onAll asks every replica again and again, and returns when the last of them said yes.
func onAll(
	ctx context.Context, within time.Duration, replicas []*service, ask func(context.Context, *service) (bool, error),
) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	errs := make([]error, len(replicas))
	var all sync.WaitGroup
	for i, r := range replicas {
		all.Go(func() { errs[i] = until(ctx, r, ask) })
	}
	all.Wait()
	return time.Now(), errors.Join(errs...)
}

func until(ctx context.Context, r *service, ask func(context.Context, *service) (bool, error)) error {
	for {
		if yes, err := ask(ctx, r); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}
