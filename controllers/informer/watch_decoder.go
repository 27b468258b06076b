package informer

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// maximumEventSize is the maximum size of an event in bytes. etcd limits objects to 1.5 MiB, which
// JSON makes longer.
const maximumEventSize = 16 << 20

// watchDecoder decodes the response to a watch of Users, a sequence of JSON objects with a type and
// an object. It is not safe for concurrent use, except that Close may be called at any time.
type watchDecoder struct {
	body    io.ReadCloser
	limited io.LimitedReader // of body
	json    *jsontext.Decoder
	options json.Options // for objects
	event   watchEvent   // reused to save allocations
}

type watchEvent struct {
	Type   watch.EventType `json:"type"`
	Object jsontext.Value  `json:"object"`
}

func newWatchDecoder(body io.ReadCloser) *watchDecoder {
	// As in client-go: the API server has validated what it stores.
	lenient := json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	// Managed fields are often half of an object, and Gatehouse does not read them.
	skipManagedFields := json.WithUnmarshalers(json.UnmarshalFromFunc(
		func(in *jsontext.Decoder, _ *[]metav1.ManagedFieldsEntry) error { return in.SkipValue() }))
	d := &watchDecoder{body: body, limited: io.LimitedReader{R: body}, options: json.JoinOptions(lenient, skipManagedFields)}
	d.json = jsontext.NewDecoder(&d.limited, lenient)
	return d
}

// Decode implements watch.Decoder. It returns io.EOF after the last event, and io.ErrUnexpectedEOF
// if the stream ends within an event or its connection is lost. The object is a User, or a Status
// if the event has type Error.
func (d *watchDecoder) Decode() (watch.EventType, runtime.Object, error) {
	d.limited.N = maximumEventSize
	d.event = watchEvent{Object: d.event.Object[:0]}
	if err := json.UnmarshalDecode(d.json, &d.event); err != nil {
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && d.limited.N > 0, net.IsHTTP2ConnectionLost(err):
			return "", nil, io.ErrUnexpectedEOF // client-go then resumes the watch where it stopped
		case d.limited.N == 0:
			return "", nil, fmt.Errorf("decode a watch of Users: an event is longer than %d bytes", maximumEventSize)
		}
		return "", nil, err
	}
	switch d.event.Type {
	case watch.Added, watch.Modified, watch.Deleted, watch.Bookmark:
		user, err := d.decodeUser(d.event.Object)
		return d.event.Type, user, err
	case watch.Error:
		status := &metav1.Status{}
		err := json.Unmarshal(d.event.Object, status, d.options)
		return d.event.Type, status, err
	default:
		return "", nil, fmt.Errorf("decode a watch of Users: unknown type %q of an event", d.event.Type)
	}
}

// Close implements watch.Decoder.
func (d *watchDecoder) Close() { _ = d.body.Close() } // nothing was written that could be lost

// decodeUser decodes a stored User without its managed fields. If the User breaks the current
// schema, decodeUser falls back to UnmarshalJSON of the type, which explains what is wrong.
func (d *watchDecoder) decodeUser(raw []byte) (*authv1alpha1.User, error) {
	type plainUser authv1alpha1.User // without UnmarshalJSON
	user := &authv1alpha1.User{}
	if err := json.Unmarshal(raw, (*plainUser)(user), d.options); err == nil {
		return user, nil
	}
	user = &authv1alpha1.User{}
	err := user.UnmarshalJSON(raw)
	user.ManagedFields = nil
	return user, err
}

// decodeMetadata decodes the answer to a request for metadata only.
func decodeMetadata(raw []byte, into *metav1.PartialObjectMetadataList) error {
	if err := json.Unmarshal(raw, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return fmt.Errorf("decode metadata: %w", err)
	}
	return nil
}
