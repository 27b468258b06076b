package main

import (
	"context"
	"fmt"
	"time"
)

// enforcement is what enforced measures: when the condition said that every replica refuses, and how
// often one of them did not.
type enforcement struct {
	latencies
	Accepted int `json:"accepted"`
}

// enforced revokes a user again and again and waits for its condition Enforced, as kubectl wait does.
// Then it asks every replica once, and counts those that still accept the token or the password.
func enforced(ctx context.Context, s *settings) (any, error) {
	c, replicas, err := clusterAndReplicas(s)
	if err != nil {
		return nil, err
	}
	password := credentials()[0].password
	var took []time.Duration
	accepting := 0
	for range s.tries {
		token, err := c.restore(ctx, replicas, password)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := c.setRevoked(ctx, changedUser, true); err != nil {
			return nil, err
		}
		if err := c.awaitEnforced(ctx, changedUser); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
		for _, r := range replicas {
			n, err := acceptedOf(ctx, r, token, password)
			if err != nil {
				return nil, err
			}
			accepting += n
		}
	}
	return enforcement{summarize(took), accepting}, c.setRevoked(ctx, changedUser, false)
}

// acceptedOf returns how many of a token and a password a replica accepts.
func acceptedOf(ctx context.Context, r *service, token, password string) (n int, err error) {
	if good, err := accepted(r.authenticate(ctx, token)); err != nil {
		return 0, err
	} else if good {
		n++
	}
	if good, err := accepted(r.authorize(ctx, changedLogin, password)); err != nil {
		return 0, err
	} else if good {
		n++
	}
	return n, nil
}

// awaitEnforced waits until a User's condition Enforced is True of its generation.
func (c *cluster) awaitEnforced(ctx context.Context, user string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	for {
		var u struct {
			Metadata struct {
				Generation int64 `json:"generation"`
			} `json:"metadata"`
			Status struct {
				Conditions []struct {
					Type, Status, Message string
					ObservedGeneration    int64 `json:"observedGeneration"`
				} `json:"conditions"`
			} `json:"status"`
		}
		if err := c.call(ctx, "GET", usersPath+user, nil, &u); err != nil {
			return fmt.Errorf("wait for Enforced of %s: %w", user, err)
		}
		for _, condition := range u.Status.Conditions {
			if condition.Type == "Enforced" && condition.Status == "True" && condition.ObservedGeneration == u.Metadata.Generation {
				return nil
			}
		}
		if !pause(ctx, 4*pollEvery) {
			return ctx.Err()
		}
	}
}
