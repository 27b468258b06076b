// Package verify checks tokens of a Gatehouse service inside other services. It follows the keys and
// the revocations of the service in the background, so that a JWT is checked without a call and is
// refused as soon as it is revoked.
package verify

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The reasons to refuse a token, and to give no verdict. Compare with errors.Is.
var (
	ErrInvalid = errors.New("invalid token")
	ErrExpired = errors.New("token expired")
	ErrRevoked = errors.New("token revoked")
	// ErrStale means that there is no verdict: the Verifier has not heard from the service for longer
	// than MaximumStaleness, or not yet, or the service cannot read the users of the token's Tenant now.
	ErrStale = errors.New("revocations are out of date")
	// ErrUnavailable means that there is no verdict: the service does not answer about an opaque token.
	ErrUnavailable = errors.New("the service does not answer")
)

const (
	defaultStaleness = 30 * time.Second
	leeway           = 30 * time.Second // for nbf and iat, if clocks differ; the end of a token is exact
	maximumToken     = 8 << 10
)

// Config describes a Gatehouse service and the caller.
type Config struct {
	Issuer   string // the issuer of tokens, which is also the URL of the service
	Audience string // what tokens must be for; empty: the Issuer
	CA       []byte // PEM certificates that vouch for the service; nil: those of the system
	// Credentials authenticate this service to Gatehouse. See Password and Token.
	Credentials Credentials
	// MaximumStaleness is how long tokens are accepted without a sign of life of the service. They may be
	// refused little more than a second earlier. 0: 30 s.
	MaximumStaleness time.Duration

	// OnVerify is called with the outcome of each Verify, and OnUpdate with that of each call for keys
	// or revocations. Both must be quick. They may be nil.
	OnVerify func(error)
	OnUpdate func(what string, err error)
}

// Credentials returns the Authorization header of a request to the service. It is called for each
// request, so that it may read a file that changes.
type Credentials func(context.Context) (string, error)

// Password returns the Credentials of a User.
func Password(login, password string) Credentials {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(login, password)
	return func(context.Context) (string, error) { return r.Header.Get("Authorization"), nil }
}

// Token returns the Credentials of the User of a token, which get returns.
func Token(get func(context.Context) (string, error)) Credentials {
	return func(ctx context.Context) (string, error) {
		text, err := get(ctx)
		return "Bearer " + text, err
	}
}

// Identity is the user of a good token, as of its issue if it is a JWT. It must not be changed.
type Identity struct {
	UID       string // never reused: key your data by it
	Login     string
	Name      string
	Email     string
	Groups    []string
	Tenant    string // empty: the user belongs to no tenant
	TokenID   string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Verifier checks tokens. Create it with New. It is safe for concurrent use.
type Verifier struct {
	Config
	client *http.Client

	keys     atomic.Pointer[keySet]
	lookup   chan struct{} // asks for the keys again
	revoked  revocations
	verified cache // JWTs, with the current keys
	asked    cache // opaque tokens
	ready    chan struct{}
}

// New returns a Verifier that follows the service until ctx ends. It does not wait for the service: see
// Ready. The error is about the Config.
func New(ctx context.Context, c Config) (*Verifier, error) {
	if !strings.HasPrefix(c.Issuer, "https://") {
		return nil, fmt.Errorf("issuer %q is not an https URL", c.Issuer)
	}
	if c.Credentials == nil {
		return nil, errors.New("no credentials to follow the revocations")
	}
	if c.MaximumStaleness < 0 {
		return nil, errors.New("MaximumStaleness is negative")
	}
	if c.MaximumStaleness == 0 {
		c.MaximumStaleness = defaultStaleness
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	var roots *x509.CertPool
	if c.CA != nil {
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(c.CA) {
			return nil, errors.New("CA holds no PEM certificate")
		}
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout: answerTime, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxConnsPerHost: 16, MaxIdleConnsPerHost: 16, IdleConnTimeout: idleTime,
	}
	v := &Verifier{
		Config: c, client: &http.Client{Transport: transport},
		lookup: make(chan struct{}, 1), ready: make(chan struct{}),
	}
	v.revoked.reset()
	var running sync.WaitGroup
	running.Go(func() { v.followKeys(ctx) })
	running.Go(func() { v.followRevocations(ctx) })
	go func() { running.Wait(); transport.CloseIdleConnections() }()
	return v, nil
}

// Ready returns nil once the Verifier can give verdicts, or the error of ctx if that ends first.
func (v *Verifier) Ready(ctx context.Context) error {
	select {
	case <-v.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Verify returns the user of a good token. The error wraps ErrInvalid, ErrExpired or ErrRevoked if
// the token is refused, and ErrStale or ErrUnavailable if there is no verdict. A JWT costs no call. An
// opaque token costs one, and its good answer counts until a revocation or for MaximumStaleness.
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	id, err := v.verify(ctx, token)
	if v.OnVerify != nil {
		v.OnVerify(err)
	}
	if err != nil {
		return nil, err
	}
	return id, nil
}

func (v *Verifier) verify(ctx context.Context, token string) (*Identity, error) {
	now := time.Now()
	keys := v.keys.Load()
	if keys == nil || v.revoked.stale(now, v.MaximumStaleness) {
		return nil, ErrStale
	}
	if len(token) > maximumToken {
		return nil, ErrInvalid
	}
	digest := sha256.Sum256([]byte(token))
	kept, err := v.identify(ctx, token, &digest, keys)
	if err != nil {
		return nil, err
	}
	if !now.Before(kept.id.ExpiresAt) {
		return nil, ErrExpired
	}
	if err := v.revoked.check(&kept.id); err != nil {
		return nil, err
	}
	return &kept.id, nil
}

func (v *Verifier) identify(ctx context.Context, token string, digest *[sha256.Size]byte, keys *keySet) (*entry, error) {
	if strings.Count(token, ".") != 2 {
		return v.ask(ctx, token, digest)
	}
	if kept := v.verified.get(digest); kept != nil && kept.keys == keys {
		return kept, nil
	}
	id, err := v.check(token, keys)
	if err != nil {
		return nil, err
	}
	kept := &entry{id: *id, keys: keys}
	v.verified.put(digest, kept)
	return kept, nil
}
