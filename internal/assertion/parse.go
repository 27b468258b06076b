package assertion

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
)

// base64URL refuses non-canonical base64url, so that every assertion has exactly one spelling.
var base64URL = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // immutable

// unverified is an assertion whose signature has not been verified.
type unverified struct {
	algorithm string
	keyID     string
	claims    Claims
	signed    string // the part that the signature covers
	signature []byte
}

// HasForm reports whether a text has the form of a signed JWT: three parts, of which the first is an
// object in base64url that names an algorithm. A text without that form is never an assertion. HasForm
// looks no further, because every login costs this look, and what else is wrong is a reason to refuse
// an assertion.
func HasForm(text string) bool {
	if strings.Count(text, ".") != 2 {
		return false
	}
	encoded, rest, _ := strings.Cut(text, ".")
	if strings.HasPrefix(rest, ".") {
		return false
	}
	header, err := base64URL.DecodeString(encoded)
	return err == nil && bytes.HasPrefix(header, []byte("{")) && bytes.Contains(header, []byte(`"alg"`))
}

// parse takes a signed JWT in compact form apart (RFC 7515, 7.1).
func parse(text string) (unverified, error) {
	dot := strings.LastIndexByte(text, '.')
	encodedHeader, encodedPayload, ok := strings.Cut(text[:max(dot, 0)], ".")
	if !ok {
		return unverified{}, Malformed
	}
	header, headerErr := base64URL.DecodeString(encodedHeader)
	payload, payloadErr := base64URL.DecodeString(encodedPayload)
	signature, signatureErr := base64URL.DecodeString(text[dot+1:])
	if headerErr != nil || payloadErr != nil || signatureErr != nil {
		return unverified{}, Malformed
	}
	t := unverified{signed: text[:dot], signature: signature}
	if err := t.parseHeader(header); err != nil {
		return unverified{}, err
	}
	var err error
	t.claims, err = parseClaims(payload)
	return t, err
}

// parseHeader reads the algorithm and the key id. It refuses a header that brings a key along or
// points to one (RFC 8725, 3.10), or that demands extensions (RFC 7515, 4.1.11).
func (t *unverified) parseHeader(raw []byte) error {
	header, err := strictjson.ParseObject(raw)
	if err != nil {
		return Malformed
	}
	for _, name := range []string{"jwk", "jku", "x5c", "x5u", "crit", "b64"} {
		if _, ok := header[name]; ok {
			return Malformed
		}
	}
	var ok bool
	if t.algorithm, ok = strictjson.String(header["alg"]); !ok {
		return Malformed
	}
	if value, given := header["kid"]; given {
		if t.keyID, ok = strictjson.String(value); !ok || t.keyID == "" {
			return Malformed
		}
	}
	return nil
}

// verify returns a Refusal unless the key has made the signature. The key alone determines the
// algorithm (RFC 8725, 3.1).
func (t *unverified) verify(k *key) error {
	if t.algorithm != k.method.Alg() || k.method.Verify(t.signed, t.signature, k.public) != nil {
		return BadSignature
	}
	return nil
}
