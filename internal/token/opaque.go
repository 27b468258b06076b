package token

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/chacha20poly1305"
)

// An opaque token is the letter 0, so that no shell takes it for an option, and in base64url
//
//	sealing key id (4 bytes) | nonce, which is the token id (24) | sealed: user UID (16), issued, expires (6 each)
//
// sealed with XChaCha20-Poly1305; the key id is authenticated too. Times are milliseconds since 1970. 72 bytes before
// base64 leave no spare bits, so a token has one spelling.
//
// A labelled token is sealed anew from its record whenever it is asked for. A nonce must never seal two different texts, or
// both the key stream and the authenticator are given away, and a record can be written by hand. So the id is made from what
// is sealed, as in the synthetic nonces of RFC 8452: 8 random bytes, then 16 of keyed BLAKE2b (RFC 7693) of them and the text.
const (
	opaquePrefix  = "0"
	sealingIDSize = 4
	uidSize       = 16
	timeSize      = 6
	plainSize     = uidSize + 2*timeSize
	saltSize      = 8 // of the id
	opaqueSize    = sealingIDSize + idSize + plainSize + chacha20poly1305.Overhead
)

// opaqueLength is the length of every opaque token.
const opaqueLength = len(opaquePrefix) + opaqueSize*4/3

// errForeignID says that an id was not made for the claims it comes with.
var errForeignID = errors.New("the token id belongs to other claims")

// seal writes claims as an opaque token and returns its id. Claims that come with an id give the very token that had it, and
// errForeignID when none of this key ever did.
func seal(k *Key, c Claims) (text, id string, err error) {
	plain, err := plainOf(c)
	if err != nil {
		return "", "", err
	}
	nonce, err := nonceOf(k, c.ID, plain)
	if err != nil {
		return "", "", err
	}
	aead, err := chacha20poly1305.NewX(k.secret)
	if err != nil {
		return "", "", fmt.Errorf("sealing key %s: %w", k.ID, err)
	}
	out := make([]byte, 0, opaqueSize)
	if out, err = strict.AppendDecode(out, []byte(k.ID)); err != nil {
		return "", "", fmt.Errorf("sealing key %s: %w", k.ID, err)
	}
	out = append(out, nonce...)
	out = aead.Seal(out, nonce, plain, out[:sealingIDSize])
	return opaquePrefix + base64.RawURLEncoding.EncodeToString(out), base64.RawURLEncoding.EncodeToString(nonce), nil
}

// plainOf is what is sealed of claims.
func plainOf(c Claims) ([]byte, error) {
	uid, err := parseUUID(c.UID)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, plainSize)
	copy(plain, uid[:])
	putTime(plain[uidSize:], c.IssuedAt)
	putTime(plain[uidSize+timeSize:], c.ExpiresAt)
	return plain, nil
}

// nonceOf draws the nonce for a text, or reads it from an id that was drawn for this very text.
func nonceOf(k *Key, id string, plain []byte) ([]byte, error) {
	if id == "" {
		nonce := make([]byte, idSize)
		_, _ = rand.Read(nonce[:saltSize]) // never fails: crypto/rand ends the process instead
		return nonce, synthesize(k, nonce, plain)
	}
	kept, err := strict.DecodeString(id)
	if err != nil || len(kept) != idSize {
		return nil, errForeignID
	}
	nonce := bytes.Clone(kept)
	if err := synthesize(k, nonce, plain); err != nil || !bytes.Equal(nonce, kept) {
		return nil, errForeignID
	}
	return nonce, nil
}

// synthesize fills a nonce after its salt. The prefix keeps this use of the secret apart from any other.
func synthesize(k *Key, nonce, plain []byte) error {
	mac, err := blake2b.New(idSize-saltSize, k.secret)
	if err != nil {
		return fmt.Errorf("sealing key %s: %w", k.ID, err)
	}
	_, _ = mac.Write([]byte("gatehouse token id\x00")) // a hash never returns an error
	_, _ = mac.Write(nonce[:saltSize])
	_, _ = mac.Write(plain)
	mac.Sum(nonce[:saltSize])
	return nil
}

// open reads an opaque token: ErrInvalid when it was not sealed by one of our keys.
func open(keys map[string]*Key, text string) (Claims, error) {
	var raw [opaqueSize]byte
	if !looksOpaque(text) {
		return Claims{}, ErrInvalid
	}
	if n, err := strict.Decode(raw[:], []byte(text[len(opaquePrefix):])); err != nil || n != opaqueSize {
		return Claims{}, ErrInvalid
	}
	k := keys[string(raw[:sealingIDSize])]
	if k == nil {
		return Claims{}, ErrInvalid
	}
	aead, err := chacha20poly1305.NewX(k.secret)
	if err != nil {
		return Claims{}, ErrInvalid
	}
	id, sealed := raw[sealingIDSize:sealingIDSize+idSize], raw[sealingIDSize+idSize:]
	plain, err := aead.Open(sealed[:0], id, sealed, raw[:sealingIDSize])
	if err != nil {
		return Claims{}, ErrInvalid
	}
	return Claims{
		ID:        base64.RawURLEncoding.EncodeToString(id),
		Kind:      KindOpaque,
		UID:       formatUUID(plain[:uidSize]),
		IssuedAt:  getTime(plain[uidSize:]),
		ExpiresAt: getTime(plain[uidSize+timeSize:]),
	}, nil
}

func looksOpaque(text string) bool {
	return len(text) == opaqueLength && strings.HasPrefix(text, opaquePrefix)
}

func putTime(b []byte, t time.Time) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(t.UnixMilli()))
	copy(b[:timeSize], ms[2:])
}

func getTime(b []byte) time.Time {
	var ms [8]byte
	copy(ms[2:], b[:timeSize])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC() //nolint:gosec // 48 bits
}

// parseUUID reads a UUID in its usual form (RFC 9562, 8-4-4-4-12 lower-case hexadecimal), as Kubernetes writes UIDs.
func parseUUID(text string) ([uidSize]byte, error) {
	var uid [uidSize]byte
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' || strings.ToLower(text) != text {
		return uid, fmt.Errorf("user UID %q is no UUID", text)
	}
	if _, err := hex.Decode(uid[:], []byte(text[:8]+text[9:13]+text[14:18]+text[19:23]+text[24:])); err != nil {
		return uid, fmt.Errorf("user UID %q is no UUID", text)
	}
	return uid, nil
}

func formatUUID(uid []byte) string {
	var out [36]byte
	hex.Encode(out[:8], uid[:4])
	hex.Encode(out[9:13], uid[4:6])
	hex.Encode(out[14:18], uid[6:8])
	hex.Encode(out[19:23], uid[8:10])
	hex.Encode(out[24:], uid[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}
