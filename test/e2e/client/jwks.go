package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// cachedFor is how long the service allows clients to cache its keys. This verifier asks no sooner,
// not even for a key that it does not know: that is the strictest reading.
const cachedFor = 5 * time.Minute

// jwks verifies tokens offline with the keys that the service publishes.
type jwks struct {
	service *service

	mu      sync.Mutex
	set     jose.JSONWebKeySet
	fetched time.Time
	count   int
}

func (k *jwks) verified() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.count
}

func (k *jwks) verify(ctx context.Context, token string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.fetched) > cachedFor {
		if err := k.fetch(ctx); err != nil {
			return err
		}
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	for _, key := range k.set.Key(signed.Signatures[0].Header.KeyID) {
		if _, err := signed.Verify(key); err == nil {
			k.count++
			return nil
		}
	}
	return fmt.Errorf("%w: no cached key verifies the token", errWrong)
}

func (k *jwks) fetch(ctx context.Context) error {
	a, err := k.service.do(ctx, http.MethodGet, "/.well-known/jwks.json", func(*http.Request) {})
	if err := wantOK(a, err); err != nil {
		return err
	}
	k.set, k.fetched = jose.JSONWebKeySet{}, time.Now()
	return json.Unmarshal(a.body, &k.set)
}
