package informer

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-auth/gatehouse/controllers/stored"
)

// decodeFunc returns an object of one kind from its JSON.
type decodeFunc func(raw []byte) (runtime.Object, error)

func decodeUser(raw []byte) (runtime.Object, error) { return stored.DecodeUser(raw) }

func decodeToken(raw []byte) (runtime.Object, error) { return stored.DecodeToken(raw) }

// lenient returns options as client-go has them: the API server has validated what it stores.
func lenient() json.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
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
