package verify

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	callTime = 10 * time.Second
	// answerTime is how late the answer to a request that waits may come. A replica that is lost without
	// a word must be noticed well within the default of MaximumStaleness.
	answerTime = 5 * time.Second
	// connectTime is short because a service that has just come back is found only by another attempt:
	// the packets of the ones before were lost, and TCP repeats them ever more rarely.
	connectTime = 3 * time.Second / 2
	// idleTime is short because an idle connection costs the service more than one that waits for
	// revocations, and keys are fetched only once a minute.
	idleTime      = 5 * time.Second
	maximumAnswer = 4 << 20
)

// call asks the service and decodes its answer. It sends a form by POST, and GET without one.
func (v *Verifier) call(ctx context.Context, path string, form url.Values, into any) (http.Header, error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(v.Issuer, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	authorization, err := v.Credentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	r.Header.Set("Authorization", authorization)
	response, err := v.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s", method, r.URL.Path, response.Status)
	}
	return response.Header, json.NewDecoder(io.LimitReader(response.Body, maximumAnswer)).Decode(into)
}

// introspection is the service's answer about a token (RFC 7662, 2.2).
type introspection struct {
	Active    bool     `json:"active"`
	Subject   string   `json:"sub"`
	UID       string   `json:"uid"`
	Groups    []string `json:"groups"`
	Tenant    string   `json:"tenant"`
	Audience  []string `json:"aud"`
	Issuer    string   `json:"iss"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
}

// ask returns what the service says of an opaque token, or has said.
func (v *Verifier) ask(ctx context.Context, token string, digest *[sha256.Size]byte) (*entry, error) {
	if !strings.HasPrefix(token, "0") || len(token) != 97 && len(token) != 105 {
		return nil, ErrInvalid
	}
	begun := time.Now()
	if kept := v.asked.get(digest); kept != nil && begun.Before(kept.until) {
		return kept, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var i introspection
	if _, err := v.call(ctx, "/oauth2/introspect", url.Values{"token": {token}}, &i); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !i.Active || i.Issuer != v.Issuer || !slices.Contains(i.Audience, v.Audience) {
		return nil, ErrInvalid
	}
	kept := &entry{until: begun.Add(v.MaximumStaleness), id: Identity{
		UID: i.UID, Login: i.Subject, Groups: i.Groups, Tenant: i.Tenant, TokenID: i.ID,
		IssuedAt: time.Unix(i.IssuedAt, 0), ExpiresAt: time.Unix(i.ExpiresAt, 0),
	}}
	v.asked.put(digest, kept)
	return kept, nil
}

func (v *Verifier) updated(what string, err error) {
	if v.OnUpdate != nil {
		v.OnUpdate(what, err)
	}
}

// sleep waits and reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
