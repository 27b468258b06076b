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

// An opaque token is the digit 0, so that no command takes it for an option, followed in base64url
// by
//
//	sealing key id (4 bytes) | nonce, which is the token id (24) | sealed: user UID (16), issued, expires (6 each)
//
// sealed with XChaCha20-Poly1305, which also authenticates the key id. A token that was made from
// another one also seals when the user gave the credentials that both stem from (6), with the first
// bit set if the token is final; for any other token that is the time of issue. Times are milliseconds since 1970. 72 and 78 bytes leave no spare
// bits in base64, so a token has one spelling. The service seals a
// labelled token again from its record whenever a client asks for it. A nonce must never seal two
// different texts, because that would reveal the key stream and the authenticator, and a record can
// be written by hand. So the id depends on what is sealed, as the synthetic nonces of RFC 8452 do:
// it is 8 random bytes, then 16 bytes of keyed BLAKE2b (RFC 7693) over these and the text.
const (
	opaquePrefix  = "0"
	sealingIDSize = 4
	uidSize       = 16
	timeSize      = 6
	plainSize     = uidSize + 2*timeSize
	saltSize      = 8    // of the id
	finalBit      = 0x80 // no time before the year 6000 has it
	opaqueSize    = sealingIDSize + idSize + plainSize + chacha20poly1305.Overhead
)

// The lengths of opaque tokens: of those that stem from credentials, and of those that were made
// from other tokens.
const (
	opaqueLength  = len(opaquePrefix) + opaqueSize*4/3
	derivedLength = len(opaquePrefix) + (opaqueSize+timeSize)*4/3
)

// errForeignID means that an id was not made for the claims it comes with.
var errForeignID = errors.New("the token id was not made for these claims")

// seal returns claims as an opaque token, with its id. Claims that come with an id give the very
// token that had it, or errForeignID if no token of this key ever did.
func seal(k *Key, c Claims) (text, id string, err error) {
	plain, err := plaintextOf(c)
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
	out := make([]byte, 0, opaqueSize+timeSize)
	if out, err = strict.AppendDecode(out, []byte(k.ID)); err != nil {
		return "", "", fmt.Errorf("sealing key %s: %w", k.ID, err)
	}
	out = append(out, nonce...)
	out = aead.Seal(out, nonce, plain, out[:sealingIDSize])
	return opaquePrefix + base64.RawURLEncoding.EncodeToString(out), base64.RawURLEncoding.EncodeToString(nonce), nil
}

// plaintextOf returns the bytes of claims that are sealed.
func plaintextOf(c Claims) ([]byte, error) {
	uid, err := parseUUID(c.UID)
	if err != nil {
		return nil, err
	}
	plain := append(make([]byte, 0, plainSize+timeSize), uid[:]...)
	plain = appendTime(plain, c.IssuedAt)
	plain = appendTime(plain, c.ExpiresAt)
	if c.Final || !c.AuthTime.Equal(c.IssuedAt) {
		plain = appendTime(plain, c.AuthTime)
	}
	if c.Final {
		plain[plainSize] |= finalBit
	}
	return plain, nil
}

// nonceOf makes a new nonce for a text, or decodes an id that was made for this very text.
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

// synthesize fills in the nonce after its salt. The prefix separates this use of the secret from
// any other.
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

// open returns the claims of an opaque token that one of the keys has sealed, and that key, or
// ErrInvalid. keys maps raw key ids to keys.
func open(keys map[string]*Key, text string) (Claims, *Key, error) {
	var buffer [opaqueSize + timeSize]byte
	if !looksOpaque(text) {
		return Claims{}, nil, ErrInvalid
	}
	n, err := strict.Decode(buffer[:], []byte(text[len(opaquePrefix):]))
	if err != nil {
		return Claims{}, nil, ErrInvalid
	}
	raw := buffer[:n]
	k := keys[string(raw[:sealingIDSize])]
	if k == nil {
		return Claims{}, nil, ErrInvalid
	}
	aead, err := chacha20poly1305.NewX(k.secret)
	if err != nil {
		return Claims{}, nil, ErrInvalid
	}
	id, sealed := raw[sealingIDSize:sealingIDSize+idSize], raw[sealingIDSize+idSize:]
	plain, err := aead.Open(sealed[:0], id, sealed, raw[:sealingIDSize])
	if err != nil {
		return Claims{}, nil, ErrInvalid
	}
	c := Claims{
		ID:        base64.RawURLEncoding.EncodeToString(id),
		Kind:      KindOpaque,
		UID:       formatUUID(plain[:uidSize]),
		IssuedAt:  getTime(plain[uidSize:]),
		ExpiresAt: getTime(plain[uidSize+timeSize:]),
	}
	c.AuthTime = c.IssuedAt
	if len(plain) > plainSize {
		c.Final = plain[plainSize]&finalBit != 0
		plain[plainSize] &^= finalBit
		c.AuthTime = getTime(plain[plainSize:])
	}
	return c, k, nil
}

// looksOpaque reports whether a text has a length and the prefix of an opaque token.
func looksOpaque(text string) bool {
	return (len(text) == opaqueLength || len(text) == derivedLength) && strings.HasPrefix(text, opaquePrefix)
}

func appendTime(b []byte, t time.Time) []byte {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(t.UnixMilli()))
	return append(b, ms[8-timeSize:]...)
}

func getTime(b []byte) time.Time {
	var ms [8]byte
	copy(ms[2:], b[:timeSize])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC() //nolint:gosec // 48 bits
}

// parseUUID parses a UUID in its usual form (RFC 9562, 8-4-4-4-12 lower-case hexadecimal), as
// Kubernetes writes UIDs.
func parseUUID(text string) ([uidSize]byte, error) {
	var uid [uidSize]byte
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' || strings.ToLower(text) != text {
		return uid, fmt.Errorf("user UID %q is not a UUID", text)
	}
	if _, err := hex.Decode(uid[:], []byte(text[:8]+text[9:13]+text[14:18]+text[19:23]+text[24:])); err != nil {
		return uid, fmt.Errorf("user UID %q is not a UUID", text)
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
