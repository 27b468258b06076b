package token

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// An opaque token is the letter 0, so that no shell takes it for an option, and in base64url
//
//	sealing key id (4 bytes) | nonce, which is the token id (24) | sealed: user UID (16), issued, expires (6 each)
//
// sealed with XChaCha20-Poly1305; the key id is authenticated too. Times are milliseconds since 1970. 72 bytes before
// base64 leave no spare bits, so a token has one spelling.
const (
	opaquePrefix  = "0"
	sealingIDSize = 4
	uidSize       = 16
	timeSize      = 6
	plainSize     = uidSize + 2*timeSize
	opaqueSize    = sealingIDSize + idSize + plainSize + chacha20poly1305.Overhead
)

// opaqueLength is the length of every opaque token.
const opaqueLength = len(opaquePrefix) + opaqueSize*4/3

// seal writes claims as an opaque token. The same claims under the same key give the same token. That is safe although it
// uses a nonce twice, because the text is the same too; whoever keeps the claims must not let them change.
func seal(k *Key, c Claims) (string, error) {
	uid, err := parseUUID(c.UID)
	if err != nil {
		return "", err
	}
	aead, err := chacha20poly1305.NewX(k.secret)
	if err != nil {
		return "", fmt.Errorf("sealing key %s: %w", k.ID, err)
	}
	id, err := strict.DecodeString(c.ID)
	if err != nil || len(id) != idSize {
		return "", fmt.Errorf("token id %q is not of %d bytes", c.ID, idSize)
	}
	out := make([]byte, 0, opaqueSize)
	if out, err = strict.AppendDecode(out, []byte(k.ID)); err != nil {
		return "", fmt.Errorf("sealing key %s: %w", k.ID, err)
	}
	out = append(out, id...)
	var plain [plainSize]byte
	copy(plain[:], uid[:])
	putTime(plain[uidSize:], c.IssuedAt)
	putTime(plain[uidSize+timeSize:], c.ExpiresAt)
	out = aead.Seal(out, id, plain[:], out[:sealingIDSize])
	return opaquePrefix + base64.RawURLEncoding.EncodeToString(out), nil
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
