package token

import "encoding/base64"

// OpaqueID returns the ID of an opaque token, which can be read without a key and verifies nothing.
// It reports whether text has the form of an opaque token.
func OpaqueID(text string) (string, bool) {
	if !looksOpaque(text) {
		return "", false
	}
	raw, err := strict.DecodeString(text[len(opaquePrefix):])
	if err != nil {
		return "", false
	}
	return base64.RawURLEncoding.EncodeToString(raw[sealingIDSize : sealingIDSize+idSize]), true
}
