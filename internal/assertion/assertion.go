// Package assertion verifies tokens of other issuers that say who a client is: ServiceAccount
// tokens of a cluster, ID tokens of a CI system, tokens of another Gatehouse. It verifies them
// offline, with keys that it fetches in the background. It knows neither users nor HTTP: the caller
// passes the function that gets a document from a URL.
package assertion

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// MaximumLength is the length in bytes of the longest token that a Verifier looks at.
const MaximumLength = 16 << 10

const (
	// leeway allows for clocks that differ.
	leeway = 30 * time.Second
	// maximumLifetime is the longest time between iat and exp.
	maximumLifetime = 24 * time.Hour
)

// Refusal is the reason to refuse an assertion. It is a stable word for logs and metrics.
type Refusal string

// The reasons to refuse an assertion.
const (
	Malformed       Refusal = "assertion_malformed"
	UntrustedIssuer Refusal = "assertion_untrusted_issuer"
	WrongAudience   Refusal = "assertion_wrong_audience"
	Expired         Refusal = "assertion_expired"
	NotYetValid     Refusal = "assertion_not_yet_valid"
	TooLongLived    Refusal = "assertion_too_long_lived"
	UnknownKey      Refusal = "assertion_unknown_key"
	BadSignature    Refusal = "assertion_bad_signature"
)

// Error implements error.
func (r Refusal) Error() string { return string(r) }

// ErrNoKeys means that there is no verdict, because the keys of the issuer could not be fetched.
// Clients may try again.
var ErrNoKeys = errors.New("the keys of the issuer are not available; try again soon")

// Verifier verifies assertions of the issuers that it trusts. The zero Verifier trusts none. It is
// safe for concurrent use, and verifying a remembered assertion takes no global lock.
type Verifier struct {
	trusted atomic.Pointer[[]*Issuer]
	cache   cache
}

// Trust replaces the trusted issuers. The caller runs them.
func (v *Verifier) Trust(issuers []*Issuer) {
	issuers = slices.Clone(issuers)
	v.trusted.Store(&issuers)
}

// Issuers returns the trusted issuers. Callers must not change the slice.
func (v *Verifier) Issuers() []*Issuer {
	if issuers := v.trusted.Load(); issuers != nil {
		return *issuers
	}
	return nil
}

// Verify returns the claims of a good assertion. The error is a Refusal, ErrNoKeys or the error of
// the context. With an error, the claims name the issuer if it is trusted, and the subject only if
// the signature holds. Verify waits for keys for at most keyWait.
func (v *Verifier) Verify(ctx context.Context, text string, now time.Time) (Claims, error) {
	if len(text) > MaximumLength {
		return Claims{}, Malformed
	}
	digest := sha256.Sum256([]byte(text))
	if known := v.cache.recall(&digest); known != nil && v.current(known) {
		return known.claims, known.claims.check(known.issuer, now)
	}
	t, err := parse(text)
	if err != nil {
		return Claims{}, err
	}
	issuer, err := v.issuerOf(ctx, t.claims.Issuer)
	if err != nil {
		return Claims{}, err
	}
	named := Claims{Issuer: t.claims.Issuer, Cluster: issuer.Cluster}
	// An assertion that cannot be good in any case must not cause a fetch of keys.
	if err := t.claims.check(issuer, now); err != nil {
		return named, err
	}
	key, err := issuer.key(ctx, t.keyID)
	if err != nil {
		return named, err
	}
	if err := t.verify(key); err != nil {
		return named, err
	}
	t.claims.Cluster = issuer.Cluster
	v.cache.remember(&digest, &verified{claims: t.claims, issuer: issuer, key: key})
	return t.claims, nil
}

// current reports whether the issuer of a remembered assertion is still trusted and still has the
// key.
func (v *Verifier) current(known *verified) bool {
	return slices.Contains(v.Issuers(), known.issuer) && known.issuer.has(known.claims.Issuer, known.key)
}

// issuerOf returns the trusted issuer with a name. The name of an issuer may become known only with
// its first keys; while one is unknown, no other name can be refused.
func (v *Verifier) issuerOf(ctx context.Context, name string) (*Issuer, error) {
	issuers := v.Issuers()
	byName := func(i *Issuer) bool { return i.Name() == name }
	if at := slices.IndexFunc(issuers, byName); at >= 0 && name != "" {
		return issuers[at], nil
	}
	at := slices.IndexFunc(issuers, func(i *Issuer) bool { return i.Name() == "" })
	if at < 0 {
		return nil, UntrustedIssuer
	}
	if err := issuers[at].awaitFetch(ctx); err != nil {
		return nil, err
	}
	switch issuers[at].Name() {
	case "":
		return nil, ErrNoKeys
	case name:
		return issuers[at], nil
	default:
		return nil, UntrustedIssuer
	}
}
