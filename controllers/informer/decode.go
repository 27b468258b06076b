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
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"

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

// maximumEventSize is the maximum size of an event in bytes. etcd limits objects to 1.5 MiB, which
// JSON makes longer.
const maximumEventSize = 16 << 20

// watchDecoder decodes the response to a watch, a sequence of JSON objects with a type and an object. It
// is not safe for concurrent use, except that Close may be called at any time.
type watchDecoder struct {
	body    io.ReadCloser
	limited io.LimitedReader // of body
	json    *jsontext.Decoder
	decode  decodeFunc
	event   watchEvent // reused to save allocations
}

type watchEvent struct {
	Type   watch.EventType `json:"type"`
	Object jsontext.Value  `json:"object"`
}

func newWatchDecoder(body io.ReadCloser, decode decodeFunc) *watchDecoder {
	d := &watchDecoder{body: body, limited: io.LimitedReader{R: body}, decode: decode}
	d.json = jsontext.NewDecoder(&d.limited, lenient())
	return d
}

// Decode implements watch.Decoder. It returns io.EOF after the last event, and io.ErrUnexpectedEOF
// if the stream ends within an event or its connection is lost. The object is a Status if the
// event has type Error.
func (d *watchDecoder) Decode() (watch.EventType, runtime.Object, error) {
	d.limited.N = maximumEventSize
	d.event = watchEvent{Object: d.event.Object[:0]}
	if err := json.UnmarshalDecode(d.json, &d.event); err != nil {
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && d.limited.N > 0, net.IsHTTP2ConnectionLost(err):
			return "", nil, io.ErrUnexpectedEOF // client-go then resumes the watch where it stopped
		case d.limited.N == 0:
			return "", nil, fmt.Errorf("decode a watch: an event is longer than %d bytes", maximumEventSize)
		}
		return "", nil, err
	}
	switch d.event.Type {
	case watch.Added, watch.Modified, watch.Deleted, watch.Bookmark:
		object, err := d.decode(d.event.Object)
		return d.event.Type, object, err
	case watch.Error:
		status := &metav1.Status{}
		err := json.Unmarshal(d.event.Object, status, lenient())
		return d.event.Type, status, err
	default:
		return "", nil, fmt.Errorf("decode a watch: unknown type %q of an event", d.event.Type)
	}
}

// Close implements watch.Decoder.
func (d *watchDecoder) Close() { _ = d.body.Close() } // nothing was written that could be lost

// decodeMetadata decodes the answer to a request for metadata only.
func decodeMetadata(raw []byte, into *metav1.PartialObjectMetadataList) error {
	if err := json.Unmarshal(raw, into, lenient()); err != nil {
		return fmt.Errorf("decode metadata: %w", err)
	}
	return nil
}
