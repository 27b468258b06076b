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

// stored is an object as far as it can be read in any case: the API server itself sees to its metadata.
type stored struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            json.RawMessage   `json:"spec"`
	Status          json.RawMessage   `json:"status"`
}

// UnmarshalJSON reads a User. The API server hands out what is stored even where it breaks today's schema, and one object that
// gives an error would make every list and watch fail, for all users. So a User with fields that cannot be read gives no
// error: it has the other fields, counts as revoked, and Unreadable says what is wrong. An error means that raw is no object.
func (u *User) UnmarshalJSON(raw []byte) error {
	type plain User
	var p plain
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

// UnmarshalJSON reads a Token, as that of User does: one with fields that cannot be read has the others and counts as revoked.
func (t *Token) UnmarshalJSON(raw []byte) error {
	type plain Token
	var p plain
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
	t.Unreadable = cmp.Or(strings.Join(salvage("spec", s.Spec, &t.Spec), "; "), err.Error())
	t.Spec.Revoked = true
	return nil
}

func readStored(raw []byte) (stored, error) {
	var s stored
	err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &s)
	return s, err
}

// salvage reads an object one field at a time, leaves out what cannot be read, and says which fields those are and why.
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
