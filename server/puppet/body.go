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

// maximumLabel is the length of the longest label, in characters.
// https://help.puppet.com/pe/current/topics/rbac_token_auth_token_label.htm
const maximumLabel = 200

// malformed returns the failure for a body that is not JSON. msg must repeat nothing of the body,
// which may hold a password.
func malformed(msg string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "malformed-request", msg: msg}
}

// schemaViolation returns the failure for JSON that is not what the route expects. msg must repeat
// no value of the body, which may hold a password.
func schemaViolation(msg string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "schema-violation", msg: msg}
}

// readObject reads a body that is one JSON object. If mayBeEmpty is set, an empty body counts as an
// empty object.
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
		return nil, malformed("The request body is empty; send a JSON object.")
	}
	object, err := strictjson.ParseObject(body)
	if errors.Is(err, strictjson.ErrNotObject) {
		return nil, schemaViolation("The request body must be a JSON object.")
	}
	if err != nil {
		return nil, malformed("The request body cannot be parsed: " + err.Error() + ".")
	}
	return object, nil
}

// readBody reads the whole body. The error is request.ErrTooLarge, or a malformed failure if the
// body ended early.
func readBody(r *http.Request) ([]byte, error) {
	body, err := request.Body(r)
	if err != nil && !errors.Is(err, request.ErrTooLarge) {
		return nil, malformed("The request body ended early or arrived too slowly.")
	}
	return body, err
}

// fields takes the fields out of an object one by one and keeps the first error.
type fields struct {
	object strictjson.Object
	err    *failure
}

func (f *fields) fail(msg string) {
	if f.err == nil {
		f.err = schemaViolation(msg)
	}
}

// optionalString takes a field that must be a string if it is present.
func (f *fields) optionalString(name string) (value string, present bool) {
	raw, present := f.object[name]
	delete(f.object, name)
	if !present {
		return "", false
	}
	value, ok := strictjson.String(raw)
	if !ok {
		f.fail("The value of " + name + " must be a string.")
	}
	return value, true
}

// requiredString takes a field that must be present and a string.
func (f *fields) requiredString(name string) string {
	value, present := f.optionalString(name)
	if !present {
		f.fail("The key " + name + " is missing.")
	}
	return value
}

// checkBool takes a field that must be true or false if it is present, and drops its value.
func (f *fields) checkBool(name string) {
	raw, present := f.object[name]
	delete(f.object, name)
	var value bool
	if present && (strictjson.IsNull(raw) || json.Unmarshal(raw, &value) != nil) {
		f.fail("The value of " + name + " must be true or false.")
	}
}

// order takes the fields that describe a requested token. An empty description or client counts as
// absent.
func (f *fields) order() grant.Order {
	var o grant.Order
	if text, present := f.optionalString("lifetime"); present {
		lifetime, ok := parseLifetime(text)
		if !ok {
			f.fail("The lifetime must be a whole number of seconds, or a whole number followed by y, d, h, m or s.")
		}
		o.Lifetime = lifetime
	}
	if text, present := f.optionalString("label"); present {
		label, complaint := parseLabel(text)
		if complaint != "" {
			f.fail(complaint)
		}
		o.Label = label
	}
	o.Description = f.boundedString("description")
	o.Client = f.boundedString("client")
	return o
}

// boundedString takes a field that must be a string of at most grant.MaximumText bytes if it is
// present.
func (f *fields) boundedString(name string) string {
	value, _ := f.optionalString(name)
	if len(value) > grant.MaximumText {
		f.fail("The value of " + name + " must have at most " + strconv.Itoa(grant.MaximumText) + " bytes.")
	}
	return value
}

// finish returns the first error: an invalid field, or an unknown key that is left over. The text
// does not repeat the unknown key, because a client may have put a password there. known lists the
// allowed keys for the text.
func (f *fields) finish(known string) error {
	if f.err == nil && len(f.object) > 0 {
		f.fail("The request body has an unknown key. Allowed keys are " + known + ".")
	}
	if f.err == nil {
		return nil
	}
	return f.err
}

// parseLabel returns a label without the white space around it, or a complaint that says what is
// wrong with it.
func parseLabel(text string) (label, complaint string) {
	label = strings.TrimFunc(text, unicode.IsSpace)
	switch {
	case label == "":
		return "", "The label must not be blank."
	case utf8.RuneCountInString(label) > maximumLabel:
		return "", "The label must have at most " + strconv.Itoa(maximumLabel) + " characters."
	case strings.Contains(label, ","):
		return "", "The label must not contain a comma."
	case strings.ContainsFunc(label, unicode.IsControl):
		return "", "The label must not contain control characters."
	}
	return label, ""
}
