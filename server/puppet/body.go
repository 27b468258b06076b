package puppet

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// maximumLabel is the longest label in characters.
// https://help.puppet.com/pe/current/topics/rbac_token_auth_token_label.htm
const maximumLabel = 200

// malformed and schemaViolation are what is wrong with a body. The texts repeat nothing of it: it may hold a password.
func malformed(msg string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "malformed-request", msg: msg}
}

func schemaViolation(msg string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "schema-violation", msg: msg}
}

// readObject reads a body that is one JSON object. An empty body is an empty object where that is allowed.
func readObject(r *http.Request, mayBeEmpty bool) (strictjson.Object, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 && mayBeEmpty {
		return strictjson.Object{}, nil
	}
	if !request.IsJSON(r) {
		return nil, unsupportedType
	}
	if len(body) == 0 {
		return nil, malformed("The body is empty; it must be a JSON object.")
	}
	object, err := strictjson.ParseObject(body)
	if errors.Is(err, strictjson.ErrNotObject) {
		return nil, schemaViolation("The body must be a JSON object.")
	}
	if err != nil {
		return nil, malformed("The body cannot be read: " + err.Error() + ".")
	}
	return object, nil
}

// readBody reads a body: request.ErrTooLarge, or malformed when it ended early.
func readBody(r *http.Request) ([]byte, error) {
	body, err := request.Body(r)
	if err != nil && !errors.Is(err, request.ErrTooLarge) {
		return nil, malformed("The body ended early or came too slowly.")
	}
	return body, err
}

// fields takes the fields of a body one by one and remembers the first that is wrong.
type fields struct {
	object strictjson.Object
	err    *failure
}

func (f *fields) fail(msg string) {
	if f.err == nil {
		f.err = schemaViolation(msg)
	}
}

// text takes a field that must be a string if it is there.
func (f *fields) text(name string) (value string, given bool) {
	raw, given := f.object[name]
	delete(f.object, name)
	if !given {
		return "", false
	}
	value, ok := strictjson.String(raw)
	if !ok {
		f.fail("The value of " + name + " must be a string.")
	}
	return value, true
}

// required takes a string that must be there.
func (f *fields) required(name string) string {
	value, given := f.text(name)
	if !given {
		f.fail("The key " + name + " is missing.")
	}
	return value
}

// flag takes a field that must be true or false if it is there.
func (f *fields) flag(name string) {
	raw, given := f.object[name]
	delete(f.object, name)
	var value bool
	if given && (strictjson.IsNull(raw) || json.Unmarshal(raw, &value) != nil) {
		f.fail("The value of " + name + " must be true or false.")
	}
}

// order takes what a client may ask of a token. An empty description or client is as good as none.
func (f *fields) order() grant.Order {
	var o grant.Order
	if text, given := f.text("lifetime"); given {
		lifetime, ok := parseLifetime(text)
		if !ok {
			f.fail("The lifetime must be a whole number, followed by y, d, h, m or s unless it counts seconds.")
		}
		o.Lifetime = lifetime
	}
	if text, given := f.text("label"); given {
		label, complaint := parseLabel(text)
		if complaint != "" {
			f.fail(complaint)
		}
		o.Label = label
	}
	o.Description, _ = f.text("description")
	o.Client, _ = f.text("client")
	return o
}

// finish returns what is wrong with the body: the first wrong field, or a key that is not known. The name of such a key is
// not repeated, because it is foreign text too.
func (f *fields) finish(known string) error {
	if f.err == nil && len(f.object) > 0 {
		f.fail("The body has a key that is not known here; known are " + known + ".")
	}
	if f.err == nil {
		return nil
	}
	return f.err
}

// parseLabel returns a label without the white space around it, or says what is wrong with it.
func parseLabel(text string) (label, complaint string) {
	label = strings.TrimFunc(text, unicode.IsSpace)
	switch {
	case label == "":
		return "", "The label must be more than white space."
	case utf8.RuneCountInString(label) > maximumLabel:
		return "", "The label must have at most " + strconv.Itoa(maximumLabel) + " characters."
	case strings.Contains(label, ","):
		return "", "The label must not contain a comma."
	case strings.ContainsFunc(label, unicode.IsControl):
		return "", "The label must not contain control characters."
	}
	return label, ""
}
