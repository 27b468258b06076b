// Package strictjson reads JSON (RFC 8259) from untrusted clients: one value, valid UTF-8, no
// duplicate keys in an object, a bounded depth. Keys are case-sensitive.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaximumDepth is how deeply arrays and objects may be nested.
const MaximumDepth = 32

// ErrMalformed is wrapped by every error about the text except ErrNotObject. The message says what
// is wrong and where, and quotes nothing of the text.
var ErrMalformed = errors.New("malformed JSON")

// ErrNotObject means that the text is JSON, but not an object.
var ErrNotObject = errors.New("not a JSON object")

// Object maps the keys of a JSON object to values that have been checked but not yet decoded.
type Object map[string]json.RawMessage

// ParseObject reads one JSON object. Its error is ErrNotObject or wraps ErrMalformed. The values of
// the Object share the memory of text.
func ParseObject(text []byte) (Object, error) {
	r := newReader(text)
	if err := r.begin(); err != nil {
		return nil, err
	}
	if r.PeekKind() != '{' {
		if err := r.rest(); err != nil {
			return nil, err
		}
		return nil, ErrNotObject
	}
	object, err := r.object()
	if err != nil {
		return nil, err
	}
	return object, r.end()
}

// Check returns an error that wraps ErrMalformed unless text is one JSON value within the limits of
// the package.
func Check(text []byte) error {
	r := newReader(text)
	if err := r.begin(); err != nil {
		return err
	}
	return r.rest()
}

// reader reads a text token by token. Its decoder refuses what is not JSON, and duplicate keys.
type reader struct {
	*jsontext.Decoder
	text []byte
}

func newReader(text []byte) reader {
	// Without the option, the decoder would take half of a surrogate pair, written as an escape,
	// for invalid UTF-8. RFC 8259 (8.2) allows it.
	return reader{jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowInvalidUTF8(true)), text}
}

// begin checks what the decoder does not check.
func (r reader) begin() error {
	if !utf8.Valid(r.text) {
		return fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	return nil
}

// rest reads the only value.
func (r reader) rest() error {
	if err := r.value(); err != nil {
		return err
	}
	return r.end()
}

// end returns an error if anything follows the value.
func (r reader) end() error {
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: unexpected data after the value at offset %d", ErrMalformed, r.InputOffset())
	}
	return nil
}

// object reads the outermost object.
func (r reader) object() (Object, error) {
	if err := r.token(); err != nil {
		return nil, err
	}
	object := Object{}
	for r.PeekKind() != '}' {
		key, err := r.ReadToken()
		if err != nil {
			return nil, r.malformed(err)
		}
		name, begin := key.String(), r.InputOffset()
		if err := r.value(); err != nil {
			return nil, err
		}
		_, value, _ := bytes.Cut(r.text[begin:r.InputOffset()], []byte(":"))
		object[name] = bytes.TrimLeft(value, " \t\r\n")
	}
	return object, r.token()
}

// value reads one value of any kind.
func (r reader) value() error {
	for depth := r.StackDepth(); ; {
		if err := r.token(); err != nil {
			return err
		}
		if r.StackDepth() == depth {
			return nil
		}
	}
}

// token reads one token and checks the depth.
func (r reader) token() error {
	if _, err := r.ReadToken(); err != nil {
		return r.malformed(err)
	}
	if r.StackDepth() > MaximumDepth {
		return fmt.Errorf("%w: more than %d levels deep at offset %d", ErrMalformed, MaximumDepth, r.InputOffset())
	}
	return nil
}

// malformed returns an error that says where reading stopped. It does not wrap the error of the
// decoder, which may quote the text.
func (r reader) malformed(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the text ends too early", ErrMalformed)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("%w: duplicate key in an object at offset %d", ErrMalformed, r.InputOffset())
	}
	return fmt.Errorf("%w at offset %d", ErrMalformed, r.InputOffset())
}

// String decodes a value of an Object and reports whether it is a string.
func String(value json.RawMessage) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true // unchanged: it has been checked, and has no escapes
	}
	var s string
	return s, json.Unmarshal(value, &s) == nil
}

// IsNull reports whether a value of an Object is null.
func IsNull(value json.RawMessage) bool { return string(value) == "null" }
