package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/chacha20poly1305"
)

// The signing algorithms (RFC 7518, RFC 8037) and the algorithm for sealing.
const (
	ES256 = "ES256"
	EdDSA = "EdDSA"
	RS256 = "RS256"

	sealing = "XC20P"
)

// rsaBits is the size of RS256 keys. NIST SP 800-57 allows 2048 bits until 2030, and a signature
// with 3072 bits takes three times as long.
const rsaBits = 2048

// Use is the purpose of a key.
type Use string

// The purposes of keys.
const (
	Sign Use = "sign"
	Seal Use = "seal"
)

// Key is one key with the times of its life. It is an immutable value.
type Key struct {
	ID        string // signing keys: the RFC 7638 thumbprint, published as kid
	Use       Use
	Algorithm string
	Created   time.Time // from then on the public half is published
	ActiveAt  time.Time // from then on the key issues; zero: it stands by

	// ReplacedAt and EndsAt are zero until the key has a successor. From ReplacedAt on the key does
	// not issue, and from EndsAt on it does not verify.
	ReplacedAt time.Time
	EndsAt     time.Time

	signer crypto.Signer // Sign
	secret []byte        // Seal
}

// storedKey is the stored form of a key: a private JWK (RFC 7517) and the times.
type storedKey struct {
	Key        jose.JSONWebKey `json:"key"`
	Created    time.Time       `json:"created"`
	ActiveAt   time.Time       `json:"activeAt,omitzero"`
	ReplacedAt time.Time       `json:"replacedAt,omitzero"`
	EndsAt     time.Time       `json:"endsAt,omitzero"`
}

func newSigningKey(algorithm string, now time.Time) (Key, error) {
	signer, err := generateSigner(algorithm)
	if err != nil {
		return Key{}, fmt.Errorf("make a signing key: %w", err)
	}
	id, err := thumbprint(signer)
	if err != nil {
		return Key{}, fmt.Errorf("make a signing key: %w", err)
	}
	return Key{ID: id, Use: Sign, Algorithm: algorithm, Created: now, signer: signer}, nil
}

func generateSigner(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("signing algorithm %q is not one of %s, %s, %s", algorithm, ES256, EdDSA, RS256)
}

func newSealingKey(now time.Time) Key {
	var id [sealingIDSize]byte
	secret := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(secret)
	return Key{ID: base64.RawURLEncoding.EncodeToString(id[:]), Use: Seal, Algorithm: sealing, Created: now, secret: secret}
}

// Public returns the public half of a signing key as a JWK.
func (k Key) Public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}
}

// encode returns the stored form of the key, with its private half.
func (k Key) encode() ([]byte, error) {
	jwk := jose.JSONWebKey{KeyID: k.ID, Algorithm: k.Algorithm}
	if k.Use == Sign {
		jwk.Key, jwk.Use = k.signer, "sig"
	} else {
		jwk.Key, jwk.Use = k.secret, "enc"
	}
	return json.Marshal(storedKey{Key: jwk, Created: k.Created, ActiveAt: k.ActiveAt, ReplacedAt: k.ReplacedAt, EndsAt: k.EndsAt})
}

// parseKey parses the stored form of a key. It checks the algorithm against the kind of key and the
// id against the key itself, so that neither can be forged.
func parseKey(raw []byte) (Key, error) {
	var stored storedKey
	if err := json.Unmarshal(raw, &stored); err != nil {
		return Key{}, fmt.Errorf("not a key in JSON: %w", err)
	}
	k := Key{
		ID: stored.Key.KeyID, Algorithm: stored.Key.Algorithm,
		Created: stored.Created, ActiveAt: stored.ActiveAt, ReplacedAt: stored.ReplacedAt, EndsAt: stored.EndsAt,
	}
	switch private := stored.Key.Key.(type) {
	case []byte:
		k.Use, k.secret = Seal, private
		return k, k.checkSealing()
	case crypto.Signer:
		k.Use, k.signer = Sign, private
		return k, k.checkSigning()
	}
	return Key{}, fmt.Errorf("key %s is neither a signing key nor a sealing key", k.ID)
}

func (k Key) checkSealing() error {
	if id, err := strict.DecodeString(k.ID); err != nil || len(id) != sealingIDSize {
		return fmt.Errorf("the id of sealing key %q is malformed", k.ID)
	}
	if k.Algorithm != sealing || len(k.secret) != chacha20poly1305.KeySize {
		return fmt.Errorf("sealing key %s must have %d bytes and the algorithm %s", k.ID, chacha20poly1305.KeySize, sealing)
	}
	return nil
}

func (k Key) checkSigning() error {
	fits := false
	switch public := k.signer.Public().(type) {
	case *ecdsa.PublicKey:
		fits = k.Algorithm == ES256 && public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		fits = k.Algorithm == EdDSA
	case *rsa.PublicKey:
		fits = k.Algorithm == RS256 && public.N.BitLen() >= rsaBits
	}
	if !fits {
		return fmt.Errorf("signing key %s does not match its algorithm %s", k.ID, k.Algorithm)
	}
	if id, err := thumbprint(k.signer); err != nil || id != k.ID {
		return fmt.Errorf("signing key %s has the id of another key", k.ID)
	}
	return nil
}

// thumbprint returns the id of a signing key, which is the thumbprint of its public half (RFC
// 7638).
func thumbprint(signer crypto.Signer) (string, error) {
	jwk := jose.JSONWebKey{Key: signer.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}
