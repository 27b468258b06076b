package assertion

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// minimumRSA is the size of the smallest RSA key, in bits. jose reads none above 4096 bits, whose
// signatures would take too long to verify.
const minimumRSA = 2048

// maximumKeys is how many keys one issuer may publish.
const maximumKeys = 256

// key is one public key of an issuer. It is immutable.
type key struct {
	id     string
	method jwt.SigningMethod
	public any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// parseKeys reads a JWK Set (RFC 7517, 5). It leaves out keys that cannot sign assertions: those
// for encryption, of other algorithms, and symmetric ones. It keeps the first of several keys with
// the same id.
func parseKeys(document []byte) (map[string]*key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, errors.New("the key set is not JSON in the form of a JWK Set")
	}
	if len(set.Keys) > maximumKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maximumKeys)
	}
	keys := map[string]*key{}
	for _, raw := range set.Keys {
		k := parseKey(raw)
		if k == nil || keys[k.id] != nil {
			continue
		}
		keys[k.id] = k
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key for RS256, ES256 or EdDSA")
	}
	return keys, nil
}

// parseKey returns the key in a JWK, or nil if it is not one that signs assertions.
func parseKey(raw []byte) *key {
	var jwk jose.JSONWebKey
	if json.Unmarshal(raw, &jwk) != nil || (jwk.Use != "" && jwk.Use != "sig") || !jwk.IsPublic() {
		return nil
	}
	k := &key{id: jwk.KeyID, public: jwk.Key}
	switch public := jwk.Key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < minimumRSA {
			return nil
		}
		k.method = jwt.SigningMethodRS256
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return nil
		}
		k.method = jwt.SigningMethodES256
	case ed25519.PublicKey:
		k.method = jwt.SigningMethodEdDSA
	default:
		return nil
	}
	if jwk.Algorithm != "" && jwk.Algorithm != k.method.Alg() {
		return nil
	}
	return k
}

// equal reports whether two keys verify the same assertions.
func (k *key) equal(other *key) bool {
	if other == nil || k.id != other.id || k.method != other.method {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return public.Equal(other.public)
	case *ecdsa.PublicKey:
		return public.Equal(other.public)
	case ed25519.PublicKey:
		return public.Equal(other.public)
	}
	return false
}

// keepEqual replaces keys by the equal ones of an earlier set, so that what was verified with them
// stays remembered.
func keepEqual(keys, earlier map[string]*key) {
	for id, k := range keys {
		if k.equal(earlier[id]) {
			keys[id] = earlier[id]
		}
	}
}
