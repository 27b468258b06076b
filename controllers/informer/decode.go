package informer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// decodeFunc returns an object of one kind from its JSON.
type decodeFunc func(raw []byte) (runtime.Object, error)

// decodeUser returns a stored User without its managed fields. If the User breaks the current schema,
// decodeUser falls back to UnmarshalJSON of the type, which explains what is wrong.
func decodeUser(raw []byte) (runtime.Object, error) {
	type plainUser authv1alpha1.User // without UnmarshalJSON
	user := &authv1alpha1.User{}
	if err := json.Unmarshal(raw, (*plainUser)(user), withoutManagedFields); err == nil {
		return user, nil
	}
	user = &authv1alpha1.User{}
	err := user.UnmarshalJSON(raw)
	user.ManagedFields = nil
	return user, err
}

// decodeToken returns a stored Token as decodeUser does a User.
func decodeToken(raw []byte) (runtime.Object, error) {
	type plainToken authv1alpha1.Token // without UnmarshalJSON
	token := &authv1alpha1.Token{}
	if err := json.Unmarshal(raw, (*plainToken)(token), withoutManagedFields); err == nil {
		return token, nil
	}
	token = &authv1alpha1.Token{}
	err := token.UnmarshalJSON(raw)
	token.ManagedFields = nil
	return token, err
}

// withoutManagedFields are lenient, and leave out managed fields, which are often half of an object and
// which Gatehouse does not read.
var withoutManagedFields = json.JoinOptions(lenient(), json.WithUnmarshalers(json.UnmarshalFromFunc( //nolint:gochecknoglobals // immutable
	func(in *jsontext.Decoder, _ *[]metav1.ManagedFieldsEntry) error { return in.SkipValue() })))

// lenient returns options as client-go has them: the API server has validated what it stores.
func lenient() json.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// listJSON lists objects that f decodes itself.
func (f *follower) listJSON(ctx context.Context, opts *metav1.ListOptions) (_ runtime.Object, err error) {
	body, err := f.request(opts).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // nothing was written that could be lost
	return decodeList(body, f.decode)
}

// decodeList decodes the response to a list, one object after the other, so that it never holds the
// JSON of more than one.
func decodeList(body io.Reader, decode decodeFunc) (*metainternalversion.List, error) {
	list := struct {
		Metadata metav1.ListMeta `json:"metadata"`
		Items    listItems       `json:"items"`
	}{Items: listItems{decode: decode}}
	if err := json.UnmarshalRead(body, &list, lenient()); err != nil {
		return nil, fmt.Errorf("decode a list: %w", err)
	}
	return &metainternalversion.List{ListMeta: list.Metadata, Items: list.Items.objects}, nil
}

// listItems are the objects of a list.
type listItems struct {
	decode  decodeFunc
	objects []runtime.Object
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *listItems) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	start, err := in.ReadToken()
	switch {
	case err != nil:
		return err
	case start.Kind() == 'n': // null, for no objects
		return nil
	case start.Kind() != '[':
		return errors.New("items is not an array")
	}
	for in.PeekKind() != ']' {
		raw, err := in.ReadValue()
		if err != nil {
			return err
		}
		object, err := l.decode(raw)
		if err != nil {
			return err
		}
		l.objects = append(l.objects, object)
	}
	_, err = in.ReadToken()
	return err
}
