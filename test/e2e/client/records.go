package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// loginResult is the outcome of a first visit.
type loginResult struct {
	JWT, Opaque bool // got one, and the service accepts it
	Revoked     bool // the service refuses it once revoked
}

// login does what a new user of the service does, at both login APIs, by the service's name and
// each of its ports.
func login(ctx context.Context, s *settings) (any, error) {
	var out loginResult
	for _, port := range []string{"", ":4433", ":9443"} {
		withPort := *s
		withPort.url += port
		client, err := dial(&withPort, "", true)
		if err != nil {
			return nil, err
		}
		a, err := client.authorize(ctx, s.login, s.password)
		if err := wantOK(a, err); err != nil {
			return nil, err
		}
		if err := wantOK(client.forwardAuth(ctx, a.field("access_token"))); err != nil {
			return nil, err
		}
		out.JWT = true
		token, err := client.newToken(ctx, s.login, s.password)
		if err != nil {
			return nil, err
		}
		if err := wantOK(client.authenticate(ctx, token)); err != nil {
			return nil, err
		}
		out.Opaque = true
		if a, err := client.revoke(ctx, token); err != nil || a.status != http.StatusNoContent {
			return nil, fmt.Errorf("revoke: %d %s %w", a.status, a.body, err)
		}
		good, err := accepted(client.authenticate(ctx, token))
		if err != nil {
			return nil, err
		}
		out.Revoked = !good
	}
	return out, nil
}

// labelsResult counts the tokens that the requests for one new label got.
type labelsResult struct {
	Requests int `json:"requests"`
	Tokens   int `json:"tokens"` // different ones
}

// labels asks the replicas for the token of one new label, with all requests at once.
func labels(ctx context.Context, s *settings) (any, error) {
	replicas, err := dialAll(s)
	if err != nil {
		return nil, err
	}
	body := map[string]string{
		"login": s.login, "password": s.password, "label": "e2e-" + strconv.FormatInt(time.Now().UnixNano(), 36),
	}
	var mu sync.Mutex
	tokens := map[string]bool{}
	var all errgroup.Group
	for i := range s.tries {
		all.Go(func() error {
			a, err := replicas[i%len(replicas)].issue(ctx, body)
			if err := wantOK(a, err); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			tokens[a.field("token")] = true
			return nil
		})
	}
	err = all.Wait()
	return labelsResult{Requests: s.tries, Tokens: len(tokens)}, err
}

// restartResult tells which revocations the service remembers after a restart.
type restartResult struct {
	Revoked  int     `json:"revoked"`  // before the restart
	Accepted int     `json:"accepted"` // of them, by any replica after it
	Kept     bool    `json:"kept"`     // a token that was not revoked is still good
	Seconds  float64 `json:"seconds"`  // until all replicas were ready again
}

// restart revokes tokens one by one, ends all replicas at once, and checks every token at every new
// replica.
func restart(ctx context.Context, s *settings) (any, error) {
	c, err := newCluster()
	if err != nil {
		return nil, err
	}
	client, err := dial(s, "", true)
	if err != nil {
		return nil, err
	}
	kept, err := client.newToken(ctx, s.login, s.password)
	if err != nil {
		return nil, err
	}
	tokens, err := revokeMany(ctx, client, s)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	addresses, err := c.restartAll(ctx)
	if err != nil {
		return nil, err
	}
	out := restartResult{Revoked: len(tokens), Kept: true, Seconds: time.Since(begin).Seconds()}
	s.replicas = addresses
	replicas, err := dialAll(s)
	if err != nil {
		return nil, err
	}
	for _, r := range replicas {
		good, err := accepted(r.authenticate(ctx, kept))
		if err != nil {
			return nil, err
		}
		out.Kept = out.Kept && good
		for _, t := range tokens {
			good, err := accepted(r.authenticate(ctx, t))
			if err != nil {
				return nil, err
			}
			if good {
				out.Accepted++
			}
		}
	}
	return out, nil
}

// revokeMany gets and revokes as many tokens as the settings ask for.
func revokeMany(ctx context.Context, client *service, s *settings) ([]string, error) {
	tokens := make([]string, s.tries)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(8)
	for i := range tokens {
		all.Go(func() error {
			token, err := client.newToken(ctx, s.login, s.password)
			if err != nil {
				return err
			}
			tokens[i] = token
			if a, err := client.revoke(ctx, token); err != nil || a.status != http.StatusNoContent {
				return fmt.Errorf("revoke: %d %s %w", a.status, a.body, err)
			}
			return nil
		})
	}
	return tokens, all.Wait()
}

// restartAll ends every replica and returns the addresses of as many new ones, once they are ready.
func (c *cluster) restartAll(ctx context.Context) ([]string, error) {
	before, err := c.pods(ctx)
	if err != nil {
		return nil, err
	}
	old := map[string]bool{}
	for _, p := range before {
		old[p.Metadata.UID] = true
	}
	if err := c.deleteAllPods(ctx); err != nil {
		return nil, err
	}
	for range 600 {
		now, err := c.pods(ctx)
		if err != nil {
			return nil, err
		}
		var addresses []string
		for _, p := range now {
			if !old[p.Metadata.UID] && p.ready() {
				addresses = append(addresses, p.Status.PodIP+":8443")
			}
		}
		if len(addresses) == len(before) {
			return addresses, nil
		}
		if !pause(ctx, 500*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
	return nil, errors.New("the replicas were not ready again within five minutes")
}

// memoryResult is in bytes, from the metrics of the processes.
type memoryResult struct {
	Resident  []float64 `json:"resident"`
	Anonymous int       `json:"anonymous"` // the status for a client without a token
}

// memory reads the metrics of each replica.
func memory(ctx context.Context, s *settings) (any, error) {
	c, err := newCluster()
	if err != nil {
		return nil, err
	}
	var out memoryResult
	for _, address := range s.replicas {
		one, err := dial(s, address, false)
		if err != nil {
			return nil, err
		}
		a, err := one.do(ctx, http.MethodGet, "/metrics", func(*http.Request) {})
		if err != nil {
			return nil, err
		}
		out.Anonymous = a.status
		a, err = one.do(ctx, http.MethodGet, "/metrics", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+c.token) })
		if err != nil || a.status != http.StatusOK {
			return nil, fmt.Errorf("read the metrics: %d %w", a.status, err)
		}
		bytes, err := metric(string(a.body), "process_resident_memory_bytes")
		if err != nil {
			return nil, err
		}
		out.Resident = append(out.Resident, bytes)
	}
	return out, nil
}

// metric returns the value of a series without labels, or an error if the text does not have it.
func metric(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("%s: %w", name, io.EOF)
}
