package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-auth/gatehouse/verify"
)

// following is what verifiers that wait for revocations saw.
type following struct {
	latencies          // from just before a request to revoke a user until the last verifier refuses its token
	Verifiers int      `json:"verifiers"`
	Checks    int      `json:"checks"`
	Refused   int      `json:"refused"`  // checks that refused a good token, or gave no verdict on any
	Accepted  int      `json:"accepted"` // checks that accepted a token after the same verifier had refused it
	Usage     *usage   `json:"usage,omitempty"`
	Examples  []string `json:"examples,omitempty"`
}

// follower revokes users one after the other, and checks tokens by verifiers.
type follower struct {
	settings  *settings
	cluster   *cluster
	verifiers []*verify.Verifier
	good      string   // a token that stays good
	tokens    []string // of the users to revoke, in turn
	revoked   int      // how many of them are
	begun     time.Time
	accepts   []bool // for each verifier: it has not refused the token that was revoked last
	left      int    // how many of these there are
	rounds    int
	took      []time.Duration
	result    following
}

// follow measures how soon all verifiers refuse the token of a user who is revoked. All the time it
// also checks a good token, and those that were revoked before. With replicas, it measures what the
// service takes as well.
func follow(ctx context.Context, s *settings) (any, error) {
	c, err := newCluster()
	if err != nil {
		return nil, err
	}
	f := &follower{settings: s, cluster: c}
	if err := f.login(ctx); err != nil {
		return nil, err
	}
	m, err := newMeter(ctx, s, c)
	if err != nil {
		return nil, err
	}
	running := context.WithoutCancel(ctx)
	if f.verifiers, err = newVerifiers(running, s); err != nil {
		return nil, err
	}
	f.accepts, f.result.Verifiers = make([]bool, s.verifiers), s.verifiers
	if err := m.begin(ctx, s.verifiers); err != nil {
		return nil, err
	}
	fmt.Println("started")
	if err := f.run(ctx, running, m); err != nil {
		return nil, err
	}
	if len(f.took) == 0 {
		return nil, errors.New("told to stop before the first revocation")
	}
	f.result.latencies = summarize(f.took)
	f.result.Usage, err = m.end(running)
	return f.result, err
}

// login gets a token that stays good, and one of each user to revoke.
func (f *follower) login(ctx context.Context) error {
	client, err := dial(f.settings, "", true)
	if err != nil {
		return err
	}
	if f.good, err = client.newJWT(ctx, f.settings.login, f.settings.password); err != nil {
		return err
	}
	f.tokens = make([]string, f.settings.tries)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(4)
	for i := range f.tokens {
		all.Go(func() (err error) {
			f.tokens[i], err = client.newJWT(ctx, crowdUser(i), credentials()[0].password)
			return err
		})
	}
	return all.Wait()
}

// crowdUser returns the name of one of the users that a test creates to be revoked, which is its login.
func crowdUser(i int) string { return fmt.Sprintf("e2e-crowd-%d", i) }

// run ends after all revocations, or, if the settings say so, only when it is told to stop.
func (f *follower) run(ctx, running context.Context, m *meter) error {
	for f.left > 0 || ctx.Err() == nil {
		due := f.left == 0 && time.Since(f.begun) >= f.settings.every
		switch {
		case f.left > 0 && time.Since(f.begun) > changeTimeout:
			return fmt.Errorf("%d of %d verifiers still accept a token %s after its user was revoked", f.left, len(f.verifiers), changeTimeout)
		case due && f.revoked < len(f.tokens):
			if err := m.sample(running); err != nil {
				return err
			}
			if err := f.revoke(running); err != nil {
				return err
			}
		case due && !f.settings.untilStopped:
			return nil
		}
		f.round(running)
		pause(running, pollEvery)
	}
	return nil
}

// revoke revokes the next user, whose token all verifiers must have accepted.
func (f *follower) revoke(ctx context.Context) error {
	for _, v := range f.verifiers {
		f.check(ctx, v, f.tokens[f.revoked], nil)
	}
	f.begun = time.Now()
	if err := f.cluster.setRevoked(ctx, crowdUser(f.revoked), true); err != nil {
		return err
	}
	f.revoked++
	f.left = len(f.verifiers)
	for i := range f.accepts {
		f.accepts[i] = true
	}
	return nil
}

// round lets each verifier check the good token, the one revoked last, and one of those before.
func (f *follower) round(ctx context.Context) {
	f.rounds++
	for i, v := range f.verifiers {
		f.check(ctx, v, f.good, nil)
		if f.revoked == 0 {
			continue
		}
		if last := f.tokens[f.revoked-1]; !f.accepts[i] {
			f.check(ctx, v, last, verify.ErrRevoked)
		} else if _, err := v.Verify(ctx, last); errors.Is(err, verify.ErrRevoked) {
			f.accepts[i] = false
			if f.left--; f.left == 0 {
				f.took = append(f.took, time.Since(f.begun))
			}
		}
		if f.revoked > 1 {
			f.check(ctx, v, f.tokens[(f.rounds+i)%(f.revoked-1)], verify.ErrRevoked)
		}
	}
}

// check lets a verifier check a token, and counts a verdict that is not the one that it must be.
func (f *follower) check(ctx context.Context, v *verify.Verifier, token string, want error) {
	_, err := v.Verify(ctx, token)
	f.result.Checks++
	switch {
	case errors.Is(err, want):
		return
	case err == nil:
		f.result.Accepted++
	default:
		f.result.Refused++
	}
	if len(f.result.Examples) < 10 {
		f.result.Examples = append(f.result.Examples, fmt.Sprintf("%s: %v, want %v", time.Now().UTC().Format(time.TimeOnly), err, want))
	}
}
