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

// The object that experiments change, and its two passwords. The Secret holds the hash of one of
// them.
const (
	changedUser   = "e2e-changed"
	changedLogin  = "e2e-changed"
	changedSecret = "e2e-changed-password"
	hashKey       = "passwordHash"
	pollEvery     = 5 * time.Millisecond
	changeTimeout = 30 * time.Second
)

// credential is a password with its argon2id hash, those of the samples.
type credential struct{ password, hash string }

func credentials() [2]credential {
	return [2]credential{
		{"Harbour-Thimble-58-Maple", "$argon2id$v=19$m=19456,t=2,p=1$UlBho86oWvU+eHm22Xod8w$xds4o4qGCFJcy19tCSvkmVp3yXfUn71a4NGcXw2Onrs"},
		{"Copper-Meadow-41-Falcon", "$argon2id$v=19$m=19456,t=2,p=1$BYuPWtBB/6gioJWr3x+yhg$YnSD5ogralRnTD+P/LPmoNjgcOQN3jCGcWEoopvf4Og"},
	}
}

// latencies are the times from just before a request for a change to when the last replica follows
// it.
type latencies struct {
	Tries   int     `json:"tries"`
	P50     float64 `json:"p50Ms"`
	P99     float64 `json:"p99Ms"`
	Longest float64 `json:"longestMs"`
}

// summarize sorts the times and returns their percentiles.
func summarize(took []time.Duration) latencies {
	slices.Sort(took)
	n := len(took)
	percentile := func(percent int) float64 { return ms(took[max(0, (n*percent+99)/100-1)]) } // nearest rank
	return latencies{Tries: n, P50: percentile(50), P99: percentile(99), Longest: ms(took[n-1])}
}

// revocations revokes and restores a user, and measures how long it takes until every replica
// refuses both login and token.
func revocations(ctx context.Context, s *settings) (any, error) {
	c, replicas, err := clusterAndReplicas(s)
	if err != nil {
		return nil, err
	}
	password := credentials()[0].password
	var took []time.Duration
	for range s.tries {
		token, err := c.restore(ctx, replicas, password)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := c.setRevoked(ctx, changedUser, true); err != nil {
			return nil, err
		}
		last, err := whenAllReplicas(ctx, changeTimeout, replicas, func(ctx context.Context, r *service) (bool, error) {
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
	return summarize(took), c.setRevoked(ctx, changedUser, false)
}

// restore takes the revocation of the user back, waits until every replica accepts it, and returns a
// new token.
func (c *cluster) restore(ctx context.Context, replicas []*service, password string) (string, error) {
	if err := c.setRevoked(ctx, changedUser, false); err != nil {
		return "", err
	}
	if _, err := whenAllReplicas(ctx, changeTimeout, replicas, func(ctx context.Context, r *service) (bool, error) {
		return accepted(r.authorize(ctx, changedLogin, password))
	}); err != nil {
		return "", err
	}
	return replicas[0].newToken(ctx, changedLogin, password)
}

// secretChanges swaps the hash in a Secret, and measures how long it takes until every replica
// refuses the old password and accepts the new one. It asks with the old one, which is in the
// password cache as long as it is right: asking with the new one too early would count as guessing.
func secretChanges(ctx context.Context, s *settings) (any, error) {
	c, replicas, err := clusterAndReplicas(s)
	if err != nil {
		return nil, err
	}
	pair := credentials()
	var took []time.Duration
	for i := range s.tries {
		old, fresh := pair[i%2], pair[(i+1)%2]
		if _, err := whenAllReplicas(ctx, changeTimeout, replicas, func(ctx context.Context, r *service) (bool, error) {
			return accepted(r.authorize(ctx, changedLogin, old.password))
		}); err != nil {
			return nil, fmt.Errorf("before change %d: %w", i, err)
		}
		begin := time.Now()
		if err := c.setSecret(ctx, changedSecret, hashKey, fresh.hash); err != nil {
			return nil, err
		}
		last, err := whenAllReplicas(ctx, changeTimeout, replicas, func(ctx context.Context, r *service) (bool, error) {
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
	return summarize(took), c.setSecret(ctx, changedSecret, hashKey, pair[0].hash)
}

// clusterAndReplicas returns the two sides of an experiment: where it makes changes, and who must
// follow them.
func clusterAndReplicas(s *settings) (*cluster, []*service, error) {
	c, err := newCluster()
	if err != nil {
		return nil, nil, err
	}
	replicas, err := dialAll(s)
	return c, replicas, err
}

// accepted reports whether an answer accepts the credentials. Anything but yes and no is an error.
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

// whenAllReplicas asks every replica again and again until it answers yes, and returns when the
// last of them did.
func whenAllReplicas(
	ctx context.Context, within time.Duration, replicas []*service, ask func(context.Context, *service) (bool, error),
) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	errs := make([]error, len(replicas))
	var all sync.WaitGroup
	for i, r := range replicas {
		all.Go(func() { errs[i] = pollUntilYes(ctx, r, ask) })
	}
	all.Wait()
	return time.Now(), errors.Join(errs...)
}

// pollUntilYes asks one replica again and again until it answers yes.
func pollUntilYes(ctx context.Context, r *service, ask func(context.Context, *service) (bool, error)) error {
	for {
		if yes, err := ask(ctx, r); yes || err != nil {
			return err
		}
		if !pause(ctx, pollEvery) {
			return ctx.Err()
		}
	}
}

// pause waits for d and reports whether the context is still alive then.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
