package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// cutOffResult is what a replica answered that was cut off from the API server, and later was not any
// more. The times are in seconds since the last sign of life before, which the replica tells itself.
type cutOffResult struct {
	Answered float64  `json:"answeredSeconds"` // until its last verdict
	Refused  float64  `json:"refusedSeconds"`  // until its first 503
	Refusals int      `json:"refusals"`        // answers of 503
	Back     bool     `json:"back"`            // it gave verdicts again
	Wrong    []string `json:"wrong,omitempty"` // answers that must not be, the first ones
}

// cutOff asks one replica for verdicts on a good token and a good password until it is told to stop.
func cutOff(ctx context.Context, s *settings) (any, error) {
	replicas, err := dialAll(s)
	if err != nil {
		return nil, err
	}
	replica := replicas[0]
	token, err := replica.newJWT(ctx, s.login, s.password)
	if err != nil {
		return nil, err
	}
	questions := []func(context.Context) (answer, error){
		func(ctx context.Context) (answer, error) { return replica.authorize(ctx, s.login, s.password) },
		func(ctx context.Context) (answer, error) { return replica.forwardAuth(ctx, token) },
		func(ctx context.Context) (answer, error) { return replica.authenticate(ctx, token) },
	}
	var out cutOffResult
	var alive, answered, refused time.Time
	fmt.Println("started")
	for running := context.WithoutCancel(ctx); ctx.Err() == nil; pause(ctx, probeEvery) {
		if asOf, ok := replica.aliveAsOf(running, s); ok && refused.IsZero() {
			alive = asOf
		}
		for i, ask := range questions {
			a, err := ask(running)
			switch now := time.Now(); {
			case err == nil && a.status == http.StatusOK && refused.IsZero():
				answered = now
			case err == nil && a.status == http.StatusOK:
				out.Back = true
			case err == nil && a.status == http.StatusServiceUnavailable && !out.Back:
				out.Refusals++
				if refused.IsZero() {
					refused = now
				}
			case len(out.Wrong) < 10:
				out.Wrong = append(out.Wrong, fmt.Sprintf("%s question %d: %d %s %v", now.UTC().Format(time.TimeOnly), i, a.status, a.body, err))
			}
		}
	}
	if refused.IsZero() {
		return nil, errors.New("the replica never answered 503")
	}
	out.Answered, out.Refused = answered.Sub(alive).Seconds(), refused.Sub(alive).Seconds()
	return out, nil
}
