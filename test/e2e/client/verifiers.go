package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse/verify"
)

// readyTimeout is how long all verifiers may take to hear from the service for the first time.
const readyTimeout = 2 * time.Minute

// newVerifiers returns as many verifiers as the settings ask for, once all are ready. Each follows the
// service by connections of its own until ctx ends.
func newVerifiers(ctx context.Context, s *settings) ([]*verify.Verifier, error) {
	pem, err := os.ReadFile(s.caFile)
	if err != nil {
		return nil, err
	}
	all := make([]*verify.Verifier, s.verifiers)
	for i := range all {
		if all[i], err = verify.New(ctx, verify.Config{
			Issuer: s.url, CA: pem, Credentials: verify.Password(s.login, s.password), MaximumStaleness: s.staleness,
		}); err != nil {
			return nil, err
		}
	}
	limit, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for i, v := range all {
		if err := v.Ready(limit); err != nil {
			return nil, fmt.Errorf("verifier %d of %d is not ready: %w", i+1, len(all), err)
		}
	}
	return all, nil
}

// newJWT returns a JWT that outlives the experiment.
func (s *service) newJWT(ctx context.Context, login, password string) (string, error) {
	a, err := s.do(ctx, "POST", "/v1/users/authorize", func(r *http.Request) {
		withJSON(map[string]int{"ttl": int(time.Hour / time.Second)})(r)
		r.SetBasicAuth(login, password)
	})
	token := a.field("access_token")
	used.add(token)
	return token, wantOK(a, err)
}
