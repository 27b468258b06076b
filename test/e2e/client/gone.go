package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/verify"
)

const (
	// probeEvery is how often a client looks whether the service answers.
	probeEvery = 50 * time.Millisecond
	// probeTimeout is short, so that a connection to a replica that is gone does not hide the next one.
	probeTimeout = 500 * time.Millisecond
)

// goneResult is what verifiers did with a good token while the service was away, in seconds.
type goneResult struct {
	Away     float64  `json:"awaySeconds"`     // from the last answer of the service until the next
	Accepted float64  `json:"acceptedSeconds"` // from that last answer until the first verifier refused
	Alive    float64  `json:"aliveSeconds"`    // from the last sign of life that an answer told of until the last verifier accepted
	Back     float64  `json:"backSeconds"`     // from the next answer of the service until the last verifier accepted again
	Examples []string `json:"examples,omitempty"`
}

// outage is the longest time without an answer of the service.
type outage struct {
	answered time.Time // the last answer before
	alive    time.Time // the newest sign of life of the API server that an answer told of before
	returned time.Time // when the request was sent that got the next answer, or a verifier had one
}

// verdicts are those of one verifier on a good token: the times of the last one before it was out of
// date, of the first one when it was, and of the next good one.
type verdicts struct{ accepted, stale, again time.Time }

// gone lets verifiers check a good token all the time until it is told to stop. Meanwhile the service
// must go away and come back.
func gone(ctx context.Context, s *settings) (any, error) {
	client, err := dial(s, "", true)
	if err != nil {
		return nil, err
	}
	token, err := client.newJWT(ctx, s.login, s.password)
	if err != nil {
		return nil, err
	}
	running := context.WithoutCancel(ctx)
	verifiers, err := newVerifiers(running, s)
	if err != nil {
		return nil, err
	}
	found := make(chan outage, 1)
	if err := findOutage(ctx, s, found); err != nil {
		return nil, err
	}
	fmt.Println("started")
	all, examples := make([]verdicts, len(verifiers)), []string(nil)
	for ctx.Err() == nil {
		for i, v := range verifiers {
			if err := all[i].check(running, v, token); err != nil && len(examples) < 10 {
				examples = append(examples, time.Now().UTC().Format(time.TimeOnly)+" "+err.Error())
			}
		}
		pause(ctx, pollEvery)
	}
	return summarizeOutage(all, <-found, examples)
}

// check lets the verifier check the token. It returns an error for a verdict that must not be.
func (d *verdicts) check(ctx context.Context, v *verify.Verifier, token string) error {
	_, err := v.Verify(ctx, token)
	now := time.Now()
	switch {
	case err == nil && d.stale.IsZero():
		d.accepted = now
	case err == nil && d.again.IsZero():
		d.again = now
	case err == nil:
	case !errors.Is(err, verify.ErrStale):
		return err
	case d.stale.IsZero():
		d.stale = now
	case !d.again.IsZero():
		return fmt.Errorf("%w again", err)
	}
	return nil
}

// findOutage asks the service by new connections until ctx ends, and then sends its longest outage.
func findOutage(ctx context.Context, s *settings, found chan<- outage) error {
	client, err := dial(s, "", false)
	if err != nil {
		return err
	}
	client.client.Timeout = probeTimeout
	if t, ok := client.client.Transport.(*http.Transport); ok {
		t.DisableKeepAlives = true
	}
	go func() {
		var longest outage
		var answered, alive time.Time
		for {
			begun := time.Now()
			if asOf, ok := client.aliveAsOf(context.WithoutCancel(ctx), s); ok {
				if !answered.IsZero() && begun.Sub(answered) > longest.returned.Sub(longest.answered) {
					longest = outage{answered, alive, begun}
				}
				answered = time.Now()
				if asOf.After(alive) {
					alive = asOf
				}
			}
			if !pause(ctx, probeEvery) {
				found <- longest
				return
			}
		}
	}()
	return nil
}

// aliveAsOf asks when the replica that answers last had a sign of life of the API server, and reports
// whether one answers.
func (s *service) aliveAsOf(ctx context.Context, credentials *settings) (time.Time, bool) {
	a, err := s.do(ctx, http.MethodGet, "/oauth2/revocations", func(r *http.Request) { r.SetBasicAuth(credentials.login, credentials.password) })
	if err != nil || a.status != http.StatusOK {
		return time.Time{}, false
	}
	var body struct {
		AsOf time.Time `json:"as_of"`
	}
	err = json.Unmarshal(a.body, &body)
	return body.AsOf, err == nil
}

func summarizeOutage(all []verdicts, o outage, examples []string) (goneResult, error) {
	for _, d := range all { // a verifier may find the service first
		if !d.again.IsZero() && d.again.Before(o.returned) {
			o.returned = d.again
		}
	}
	out := goneResult{Away: o.returned.Sub(o.answered).Seconds(), Examples: examples}
	for i, d := range all {
		if d.stale.IsZero() || d.again.IsZero() {
			return out, fmt.Errorf("in an outage of %.1f s, verifier %d was out of date at %s and accepted again at %s: %q",
				out.Away, i, d.stale, d.again, examples)
		}
		if accepted := d.stale.Sub(o.answered).Seconds(); i == 0 || accepted < out.Accepted {
			out.Accepted = accepted
		}
		out.Alive = max(out.Alive, d.accepted.Sub(o.alive).Seconds())
		out.Back = max(out.Back, d.again.Sub(o.returned).Seconds())
	}
	return out, nil
}
