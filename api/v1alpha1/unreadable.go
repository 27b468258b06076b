package v1alpha1

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
)

// stored holds the parts of an object that can always be read: the API server itself validates the
// metadata.
type stored struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            json.RawMessage   `json:"spec"`
	Status          json.RawMessage   `json:"status"`
}

// UnmarshalJSON reads a User. The API server returns stored objects even if they break the current
// schema, and an error for a single object would fail every list and watch, for all users. So
// fields that cannot be read do not cause an error: the User has all other fields, counts as
// revoked, and Unreadable says what is wrong. UnmarshalJSON returns an error only if raw is not an
// object.
func (u *User) UnmarshalJSON(raw []byte) error {
	type plainUser User // without this method
	var p plainUser
	err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &p)
	if err == nil {
		*u = User(p)
		return nil
	}
	s, broken := readStored(raw)
	if broken != nil {
		return fmt.Errorf("read a User: %w", broken)
	}
	*u = User{TypeMeta: s.TypeMeta, ObjectMeta: s.Metadata}
	faults := append(salvage("spec", s.Spec, &u.Spec), salvage("status", s.Status, &u.Status)...)
	u.Unreadable = cmp.Or(strings.Join(faults, "; "), err.Error())
	u.Spec.Revoked = true
	return nil
}

// UnmarshalJSON reads a Token like the method of User does: if fields cannot be read, the Token has
// all others, counts as revoked, and Unreadable says what is wrong.
func (t *Token) UnmarshalJSON(raw []byte) error {
	type plainToken Token // without this method
	var p plainToken
	err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &p)
	if err == nil {
		*t = Token(p)
		return nil
	}
	s, broken := readStored(raw)
	if broken != nil {
		return fmt.Errorf("read a Token: %w", broken)
	}
	*t = Token{TypeMeta: s.TypeMeta, ObjectMeta: s.Metadata}
	faults := append(salvage("spec", s.Spec, &t.Spec), salvage("status", s.Status, &t.Status)...)
	t.Unreadable = cmp.Or(strings.Join(faults, "; "), err.Error())
	t.Spec.Revoked = true
	return nil
}

func readStored(raw []byte) (stored, error) {
	var s stored
	err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &s)
	return s, err
}

// salvage reads an object field by field into out, leaves out the fields that cannot be read, and
// returns why, one message for each.
func salvage[T any](name string, raw json.RawMessage, out *T) []string {
	var fields map[string]json.RawMessage
	if len(raw) == 0 {
		return nil
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &fields); err != nil {
		return []string{fmt.Sprintf("%s: %v", name, err)}
	}
	var faults []string
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		next := *out
		one, err := json.Marshal(map[string]json.RawMessage{field: fields[field]})
		if err == nil {
			err = kjson.UnmarshalCaseSensitivePreserveInts(one, &next)
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s.%s: %v", name, field, err))
			continue
		}
		*out = next
	}
	return faults
}
