// Package strictjson reads JSON (RFC 8259) from strangers: one value, valid UTF-8, no key twice in an object, a bounded
// depth. Keys are compared to the letter.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaximumDepth is how deep arrays and objects may be nested.
const MaximumDepth = 32

// ErrMalformed is wrapped by every error about the text; the message says what is wrong and where, and repeats nothing of
// the text.
var ErrMalformed = errors.New("malformed JSON")

// ErrNotObject says that the text is JSON, but not an object.
var ErrNotObject = errors.New("not a JSON object")

// Object is a JSON object by its keys, with values that have been checked and not yet decoded.
type Object map[string]json.RawMessage

// ParseObject reads one JSON object: ErrMalformed or ErrNotObject otherwise.
func ParseObject(text []byte) (Object, error) {
	if err := Check(text); err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); trimmed[0] != '{' {
		return nil, ErrNotObject
	}
	object := Object{}
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, fmt.Errorf("%w: it cannot be decoded", ErrMalformed)
	}
	return object, nil
}

// Check says whether a text is one JSON value within the limits of the package.
func Check(text []byte) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := checkValue(decoder, 0); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the value at offset %d", ErrMalformed, decoder.InputOffset())
	}
	return nil
}

func checkValue(decoder *json.Decoder, depth int) error {
	start, err := decoder.Token()
	if err != nil {
		return malformed(decoder, err)
	}
	delim, nested := start.(json.Delim)
	if !nested {
		return nil
	}
	if depth == MaximumDepth {
		return fmt.Errorf("%w: more than %d levels deep at offset %d", ErrMalformed, MaximumDepth, decoder.InputOffset())
	}
	if delim == '{' {
		err = checkMembers(decoder, depth+1)
	} else {
		err = checkItems(decoder, depth+1)
	}
	if err != nil {
		return err
	}
	if _, err := decoder.Token(); err != nil { // the closing bracket
		return malformed(decoder, err)
	}
	return nil
}

func checkMembers(decoder *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return malformed(decoder, err)
		}
		name, _ := key.(string)
		if seen[name] {
			return fmt.Errorf("%w: a key comes twice in one object at offset %d", ErrMalformed, decoder.InputOffset())
		}
		seen[name] = true
		if err := checkValue(decoder, depth); err != nil {
			return err
		}
	}
	return nil
}

func checkItems(decoder *json.Decoder, depth int) error {
	for decoder.More() {
		if err := checkValue(decoder, depth); err != nil {
			return err
		}
	}
	return nil
}

// malformed reports where reading stopped. What the decoder says is not passed on: it may quote the text.
func malformed(decoder *json.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the text ends too early", ErrMalformed)
	}
	return fmt.Errorf("%w at offset %d", ErrMalformed, decoder.InputOffset())
}

// String decodes a value that is a string.
func String(value json.RawMessage) (string, bool) {
	var s string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return "", false
	}
	return s, true
}

// IsNull says whether a value is null.
func IsNull(value json.RawMessage) bool { return string(value) == "null" }
