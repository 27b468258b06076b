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

// ParseObject reads one JSON object: ErrMalformed or ErrNotObject otherwise. The values are parts of text.
func ParseObject(text []byte) (Object, error) {
	object := Object{}
	err := check(text, func(name string, value []byte) { object[name] = value })
	if err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimLeft(text, whiteSpace); trimmed[0] != '{' {
		return nil, ErrNotObject
	}
	return object, nil
}

// Check says whether a text is one JSON value within the limits of the package.
func Check(text []byte) error { return check(text, func(string, []byte) {}) }

// whiteSpace is what may stand between the tokens of JSON.
const whiteSpace = " \t\r\n"

// member is told of each member of the outermost value, if that is an object.
type member func(name string, value []byte)

func check(text []byte, found member) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	c := checker{json.NewDecoder(bytes.NewReader(text)), text, found}
	c.UseNumber()
	if err := c.value(0); err != nil {
		return err
	}
	if _, err := c.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the value at offset %d", ErrMalformed, c.InputOffset())
	}
	if !json.Valid(text) { // the decoder reads a little more than JSON token by token
		return fmt.Errorf("%w: it is not JSON to the letter", ErrMalformed)
	}
	return nil
}

// checker reads a text once.
type checker struct {
	*json.Decoder
	text  []byte
	found member
}

func (c checker) value(depth int) error {
	start, err := c.Token()
	if err != nil {
		return c.malformed(err)
	}
	delim, nested := start.(json.Delim)
	if !nested {
		return nil
	}
	if depth == MaximumDepth {
		return fmt.Errorf("%w: more than %d levels deep at offset %d", ErrMalformed, MaximumDepth, c.InputOffset())
	}
	if delim == '{' {
		err = c.members(depth + 1)
	} else {
		err = c.items(depth + 1)
	}
	if err != nil {
		return err
	}
	if _, err := c.Token(); err != nil { // the closing bracket
		return c.malformed(err)
	}
	return nil
}

func (c checker) members(depth int) error {
	seen := map[string]bool{}
	for c.More() {
		key, err := c.Token()
		if err != nil {
			return c.malformed(err)
		}
		name, _ := key.(string)
		if seen[name] {
			return fmt.Errorf("%w: a key comes twice in one object at offset %d", ErrMalformed, c.InputOffset())
		}
		seen[name] = true
		begin := c.InputOffset()
		if err := c.value(depth); err != nil {
			return err
		}
		if depth == 1 {
			_, value, _ := bytes.Cut(c.text[begin:c.InputOffset()], []byte(":"))
			c.found(name, bytes.TrimLeft(value, whiteSpace))
		}
	}
	return nil
}

func (c checker) items(depth int) error {
	for c.More() {
		if err := c.value(depth); err != nil {
			return err
		}
	}
	return nil
}

// malformed reports where reading stopped. What the decoder says is not passed on: it may quote the text.
func (c checker) malformed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the text ends too early", ErrMalformed)
	}
	return fmt.Errorf("%w at offset %d", ErrMalformed, c.InputOffset())
}

// String decodes a value of an Object that is a string.
func String(value json.RawMessage) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true // as it stands: it was checked, and nothing in it is escaped
	}
	var s string
	return s, json.Unmarshal(value, &s) == nil
}

// IsNull says whether a value is null.
func IsNull(value json.RawMessage) bool { return string(value) == "null" }
