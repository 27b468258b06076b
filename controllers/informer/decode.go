package informer

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
)

// decodeFunc returns an object of one kind, as the cache holds it, from its JSON.
type decodeFunc func(raw []byte) (client.Object, error)

func decodeUser(raw []byte) (client.Object, error) {
	u, err := stored.DecodeUser(raw)
	if err != nil {
		return nil, err
	}
	slimUser(u)
	return u, nil
}

func decodeToken(raw []byte) (client.Object, error) {
	t, err := stored.DecodeToken(raw)
	if err != nil {
		return nil, err
	}
	projection.SlimToken(t)
	return t, nil
}

func decodeSecret(raw []byte) (client.Object, error) {
	s := &corev1.Secret{}
	if err := json.Unmarshal(raw, s, stored.Options()); err != nil {
		return nil, fmt.Errorf("read a Secret: %w", err)
	}
	projection.SlimSecret(s)
	return s, nil
}

// decodeRevocation knows no schema, so that a Revocation that cannot be read completely still counts.
func decodeRevocation(raw []byte) (client.Object, error) {
	r := &unstructured.Unstructured{}
	if err := r.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("read a Revocation: %w", err)
	}
	return r, nil
}

func decodeTenant(raw []byte) (client.Object, error) {
	t := &authv1alpha1.Tenant{}
	if err := json.Unmarshal(raw, t, stored.Options()); err != nil {
		return nil, fmt.Errorf("read a Tenant: %w", err)
	}
	projection.SlimObject(t)
	return t, nil
}

// page is the response to a list, or a part of it.
type page struct {
	metav1.ListMeta

	objects []client.Object
}

// decodePage decodes the response to a list, one object after the other, so that it never holds the
// JSON of more than one.
func decodePage(body io.Reader, decode decodeFunc) (page, error) {
	list := struct {
		Metadata metav1.ListMeta `json:"metadata"`
		Items    listItems       `json:"items"`
	}{Items: listItems{decode: decode}}
	if err := json.UnmarshalRead(body, &list, stored.Options()); err != nil {
		return page{}, fmt.Errorf("decode a list: %w", err)
	}
	return page{list.Metadata, list.Items.objects}, nil
}

// listItems are the objects of a list.
type listItems struct {
	decode  decodeFunc
	objects []client.Object
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

// events are the response to a watch, a sequence of JSON objects with a type and an object. They are not
// safe for concurrent use.
type events struct {
	body    io.ReadCloser
	limited io.LimitedReader // of body
	json    *jsontext.Decoder
	decode  decodeFunc
	event   watchEvent // reused to save allocations
	started time.Time
	count   int // of events
}

type watchEvent struct {
	Type   watch.EventType `json:"type"`
	Object jsontext.Value  `json:"object"`
}

func newEvents(body io.ReadCloser, decode decodeFunc) *events {
	e := &events{body: body, limited: io.LimitedReader{R: body}, decode: decode, started: time.Now()}
	e.json = jsontext.NewDecoder(&e.limited, stored.Options())
	return e
}

// wait waits until there is something of the next event, or the watch has ended.
func (e *events) wait() {
	e.limited.N = maximumEventSize
	e.json.PeekKind()
}

// useful reports whether a watch that has ended has done its work.
func (e *events) useful() bool { return e.count > 0 || time.Since(e.started) >= minUsefulWatch }

// initial returns the objects with which a watch begins, and their resourceVersion as a whole.
func (e *events) initial() (objects []client.Object, version string, err error) {
	for all := map[string]client.Object{}; ; {
		kind, o, err := e.next()
		switch {
		case err != nil:
			return nil, "", err
		case kind == watch.Deleted:
			delete(all, o.GetName())
		case kind != watch.Bookmark:
			all[o.GetName()] = o
		case o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true":
			return slices.Collect(maps.Values(all)), o.GetResourceVersion(), nil
		}
	}
}

// next waits for the next event and returns its type and object. It returns io.EOF when the watch has ended,
// or its connection is lost, so that it can be resumed after the last event, and the error that the API
// server sends. The object of a bookmark has only metadata.
func (e *events) next() (watch.EventType, client.Object, error) {
	e.wait()
	e.event = watchEvent{Object: e.event.Object[:0]}
	if err := json.UnmarshalDecode(e.json, &e.event); err != nil {
		switch {
		case e.limited.N == 0:
			return "", nil, fmt.Errorf("an event is longer than %d bytes", maximumEventSize)
		case errors.Is(err, io.ErrUnexpectedEOF), net.IsProbableEOF(err), net.IsTimeout(err), net.IsHTTP2ConnectionLost(err):
			return "", nil, io.EOF
		}
		return "", nil, err
	}
	e.count++
	switch e.event.Type {
	case watch.Added, watch.Modified, watch.Deleted:
		o, err := e.decode(e.event.Object)
		return e.event.Type, o, err
	case watch.Bookmark:
		o := &metav1.PartialObjectMetadata{}
		return e.event.Type, o, json.Unmarshal(e.event.Object, o, stored.Options())
	case watch.Error:
		status := &metav1.Status{}
		if err := json.Unmarshal(e.event.Object, status, stored.Options()); err != nil {
			return "", nil, err
		}
		return "", nil, apierrors.FromObject(status)
	default:
		return "", nil, fmt.Errorf("unknown type %q of an event", e.event.Type)
	}
}

// close ends the watch.
func (e *events) close() { _ = e.body.Close() } // nothing was written that could be lost

// decodeMetadata decodes the answer to a request for metadata only.
func decodeMetadata(raw []byte, into *metav1.PartialObjectMetadataList) error {
	if err := json.Unmarshal(raw, into, stored.Options()); err != nil {
		return fmt.Errorf("decode metadata: %w", err)
	}
	return nil
}
