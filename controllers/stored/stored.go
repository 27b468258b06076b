// Package stored reads Users and Tokens as the API server holds them. The API server returns stored
// objects even if they break the current schema, and an error for a single object would fail every
// list and watch, for all users. So fields that cannot be read do not cause an error: the object has
// all other fields, counts as revoked, and Fault says what is wrong.
//
// What the package finds out about an object is in notes: annotations that exist only in memory,
// because the types have no fields for that. It drops stored annotations of the same names, so that
// no one can forge a note.
package stored

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// Options returns how JSON of the API server is read: as leniently as by client-go, because the API server
// has validated what it stores. Managed fields are left out, which are often half of an object and which
// Gatehouse does not read.
func Options() jsonv2.Options { return options }

var options = jsonv2.JoinOptions( //nolint:gochecknoglobals // immutable
	jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
	jsonv2.WithUnmarshalers(jsonv2.UnmarshalFromFunc(
		func(in *jsontext.Decoder, _ *[]metav1.ManagedFieldsEntry) error { return in.SkipValue() })),
)

// DecodeUser returns a User, without its managed fields. It returns an error only if raw is not an
// object with valid metadata.
func DecodeUser(raw []byte) (*authv1alpha1.User, error) {
	u, err := decode(raw, func(u *authv1alpha1.User) fields[authv1alpha1.UserSpec, authv1alpha1.UserStatus] {
		return fields[authv1alpha1.UserSpec, authv1alpha1.UserStatus]{&u.TypeMeta, &u.ObjectMeta, &u.Spec, &u.Status, &u.Spec.Revoked}
	})
	if err != nil {
		return nil, fmt.Errorf("read a User: %w", err)
	}
	return u, nil
}

// DecodeToken returns a Token as DecodeUser does a User. It also notes whether the Token is Misowned.
func DecodeToken(raw []byte) (*authv1alpha1.Token, error) {
	t, err := decode(raw, func(t *authv1alpha1.Token) fields[authv1alpha1.TokenSpec, authv1alpha1.TokenStatus] {
		return fields[authv1alpha1.TokenSpec, authv1alpha1.TokenStatus]{&t.TypeMeta, &t.ObjectMeta, &t.Spec, &t.Status, &t.Spec.Revoked}
	})
	if err != nil {
		return nil, fmt.Errorf("read a Token: %w", err)
	}
	if !hasOwner(t) {
		metav1.SetMetaDataAnnotation(&t.ObjectMeta, misownedNote, "")
	}
	return t, nil
}

// fields are those of a User or a Token.
type fields[S, T any] struct {
	kind    *metav1.TypeMeta
	meta    *metav1.ObjectMeta
	spec    *S
	status  *T
	revoked *bool
}

// parts are those of an object that can always be read: the API server itself validates the metadata.
type parts struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            json.RawMessage   `json:"spec"`
	Status          json.RawMessage   `json:"status"`
}

// decode returns an object whose fields are where of says.
func decode[O, S, T any](raw []byte, of func(*O) fields[S, T]) (*O, error) {
	o, broken := parse[O](raw)
	if broken == nil {
		clean(of(o).meta)
		return o, nil
	}
	var p parts
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &p); err != nil {
		return nil, err
	}
	o = new(O)
	f := of(o)
	*f.kind, *f.meta = p.TypeMeta, p.Metadata
	faults := append(salvage("spec", p.Spec, f.spec), salvage("status", p.Status, f.status)...)
	*f.revoked = true
	clean(f.meta)
	metav1.SetMetaDataAnnotation(f.meta, faultNote, cmp.Or(strings.Join(faults, "; "), broken.Error()))
	return o, nil
}

// parse returns an object that fits the schema, or an error in the words of Kubernetes.
func parse[O any](raw []byte) (*O, error) {
	o := new(O)
	if err := jsonv2.Unmarshal(raw, o, options); err == nil {
		return o, nil
	}
	o = new(O)
	return o, kjson.UnmarshalCaseSensitivePreserveInts(raw, o)
}

func clean(meta *metav1.ObjectMeta) {
	meta.ManagedFields = nil
	DropNotes(meta)
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
