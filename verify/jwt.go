package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	keysEvery = time.Minute      // how often keys are fetched: how late a removed key is noticed
	keysPause = 10 * time.Second // the least time between fetches for unknown keys
)

// keySet holds public keys by id.
type keySet struct {
	keys map[string]publicKey
	// headers holds the key of each header of a good token: the tokens of one key have the same, and
	// decoding it takes as long as decoding the claims.
	headers sync.Map
}

type publicKey struct {
	algorithm string
	key       crypto.PublicKey
}

type jwk struct {
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Type      string `json:"kty"`
	X         string `json:"x"`
	Y         string `json:"y"`
	N         string `json:"n"`
	E         string `json:"e"`
}

type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud"` // the service always writes a list
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
	UID       string   `json:"uid"`
	Name      string   `json:"name"`
	Email     string   `json:"email"`
	Groups    []string `json:"groups"`
	Tenant    string   `json:"tenant"`
}

var errUnknownKey = errors.New("unknown key")

// strict refuses non-canonical base64url, so that every token has exactly one spelling.
var strict = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // immutable

// check checks a JWT apart from its end and revocations.
func (v *Verifier) check(token string, keys *keySet) (*Identity, error) {
	c, err := keys.open(token)
	if err != nil {
		if errors.Is(err, errUnknownKey) {
			select { // a key that the service has begun to use early
			case v.lookup <- struct{}{}:
			default:
			}
		}
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	latest := time.Now().Add(leeway).Unix()
	switch {
	case c.Issuer != v.Issuer:
		return nil, fmt.Errorf("%w: another issuer", ErrInvalid)
	case !slices.Contains(c.Audience, v.Audience):
		return nil, fmt.Errorf("%w: for another audience", ErrInvalid)
	case c.UID == "" || c.ID == "" || c.ExpiresAt == 0 || c.IssuedAt == 0:
		return nil, fmt.Errorf("%w: a claim is missing", ErrInvalid)
	case c.IssuedAt > latest, c.NotBefore > latest:
		return nil, fmt.Errorf("%w: not good yet", ErrInvalid)
	}
	return &Identity{
		UID: c.UID, Login: c.Subject, Name: c.Name, Email: c.Email, Groups: c.Groups, Tenant: c.Tenant, TokenID: c.ID,
		IssuedAt: time.Unix(c.IssuedAt, 0), ExpiresAt: time.Unix(c.ExpiresAt, 0),
	}, nil
}

// open checks the signature of a JWT and returns its claims. It decodes nothing of the claims before.
func (s *keySet) open(token string) (*claims, error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	k, err := s.find(header)
	if err != nil {
		return nil, err
	}
	raw, err := strict.DecodeString(signature)
	if err != nil {
		return nil, err
	}
	if err := jwt.GetSigningMethod(k.algorithm).Verify(token[:len(header)+1+len(payload)], raw, k.key); err != nil {
		return nil, err
	}
	s.headers.LoadOrStore(header, k)
	body, err := strict.DecodeString(payload)
	if err != nil {
		return nil, err
	}
	c := &claims{}
	return c, json.Unmarshal(body, c)
}

// find returns the key that a header names. The algorithm is that of the key, whatever the header says.
func (s *keySet) find(header string) (publicKey, error) {
	if k, ok := s.headers.Load(header); ok {
		known, _ := k.(publicKey)
		return known, nil
	}
	raw, err := strict.DecodeString(header)
	if err != nil {
		return publicKey{}, err
	}
	var h struct {
		Algorithm string   `json:"alg"`
		Type      string   `json:"typ"`
		ID        string   `json:"kid"`
		Critical  []string `json:"crit"`
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return publicKey{}, err
	}
	k, ok := s.keys[h.ID]
	switch {
	case !ok:
		return publicKey{}, errUnknownKey
	case h.Type != "at+jwt", h.Algorithm != k.algorithm, len(h.Critical) > 0:
		return publicKey{}, errors.New("not an access token of the service")
	}
	return k, nil
}

// followKeys fetches the keys until ctx ends.
func (v *Verifier) followKeys(ctx context.Context) {
	for {
		pause := keysPause
		err := v.fetchKeys(ctx)
		v.updated("keys", err)
		if err != nil {
			pause = time.Second
		}
		if !sleep(ctx, pause) {
			return
		}
		if err != nil {
			continue
		}
		timer := time.NewTimer(keysEvery - keysPause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-v.lookup:
		}
		timer.Stop()
	}
}

func (v *Verifier) fetchKeys(ctx context.Context) error {
	var set struct{ Keys []jwk }
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if _, err := v.call(ctx, "/.well-known/jwks.json", nil, &set); err != nil {
		return err
	}
	next := &keySet{keys: map[string]publicKey{}}
	for _, k := range set.Keys {
		key, err := k.public()
		if err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
		next.keys[k.ID] = publicKey{k.Algorithm, key}
	}
	if current := v.keys.Load(); current == nil || !current.equal(next) {
		v.keys.Store(next)
	}
	v.settle()
	return nil
}

func (s *keySet) equal(other *keySet) bool {
	if len(s.keys) != len(other.keys) {
		return false
	}
	for id, k := range s.keys {
		o, ok := other.keys[id]
		key, can := k.key.(interface{ Equal(x crypto.PublicKey) bool })
		if !ok || !can || k.algorithm != o.algorithm || !key.Equal(o.key) {
			return false
		}
	}
	return true
}

func (k jwk) public() (crypto.PublicKey, error) {
	part := func(text string, size int) []byte {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || size > 0 && len(raw) != size {
			return nil
		}
		return raw
	}
	switch k.Algorithm {
	case "ES256":
		point := append([]byte{4}, append(part(k.X, 32), part(k.Y, 32)...)...)
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	case "EdDSA":
		if raw := part(k.X, ed25519.PublicKeySize); raw != nil {
			return ed25519.PublicKey(raw), nil
		}
	case "RS256":
		n, e := part(k.N, 0), part(k.E, 0)
		if len(n) >= 256 && len(e) > 0 && len(e) <= 4 {
			return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
		}
	}
	return nil, errors.New("not a key of a known algorithm")
}
