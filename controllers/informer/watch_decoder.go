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

// maximumEvent is the most bytes that one event may have. etcd takes objects of 1.5 MiB, which JSON makes longer.
const maximumEvent = 16 << 20

// watchDecoder reads what the API server answers to a watch of Users: one JSON object of type and object after another. It is not
// safe for concurrent use, but Close may be called at any time.
type watchDecoder struct {
	body    io.ReadCloser
	left    io.LimitedReader // of body
	json    *jsontext.Decoder
	options json.Options // for objects
	event   watchEvent   // kept for its memory
}

type watchEvent struct {
	Type   watch.EventType `json:"type"`
	Object jsontext.Value  `json:"object"`
}

func newWatchDecoder(body io.ReadCloser) *watchDecoder {
	// As client-go does: the API server has checked what it stores.
	leniently := json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	// Managed fields are often half of an object, and nobody here reads them.
	sparingly := json.WithUnmarshalers(json.UnmarshalFromFunc(
		func(in *jsontext.Decoder, _ *[]metav1.ManagedFieldsEntry) error { return in.SkipValue() }))
	e := &watchDecoder{body: body, left: io.LimitedReader{R: body}, options: json.JoinOptions(leniently, sparingly)}
	e.json = jsontext.NewDecoder(&e.left, leniently)
	return e
}

// Decode implements watch.Decoder. It returns io.EOF after the last event, and io.ErrUnexpectedEOF when the stream ends within
// one or its connection is lost. Its objects are Users, and a Status in an event of type Error.
func (e *watchDecoder) Decode() (watch.EventType, runtime.Object, error) {
	e.left.N = maximumEvent
	e.event = watchEvent{Object: e.event.Object[:0]}
	if err := json.UnmarshalDecode(e.json, &e.event); err != nil {
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && e.left.N > 0, net.IsHTTP2ConnectionLost(err):
			return "", nil, io.ErrUnexpectedEOF // after which client-go goes on from where it was
		case e.left.N == 0:
			return "", nil, fmt.Errorf("an event of a watch of Users has more than %d bytes", maximumEvent)
		}
		return "", nil, err
	}
	switch e.event.Type {
	case watch.Added, watch.Modified, watch.Deleted, watch.Bookmark:
		user, err := e.user(e.event.Object)
		return e.event.Type, user, err
	case watch.Error:
		status := &metav1.Status{}
		err := json.Unmarshal(e.event.Object, status, e.options)
		return e.event.Type, status, err
	default:
		return "", nil, fmt.Errorf("a watch of Users has an event of unknown type %q", e.event.Type)
	}
}

// Close implements watch.Decoder.
func (e *watchDecoder) Close() { _ = e.body.Close() } // nothing has been written

// user reads a User that the API server has stored, without managed fields. One that breaks today's schema is left to the
// type's own reader, which says what is wrong with it.
func (e *watchDecoder) user(raw []byte) (*authv1alpha1.User, error) {
	type plain authv1alpha1.User // without that reader
	user := &authv1alpha1.User{}
	if err := json.Unmarshal(raw, (*plain)(user), e.options); err == nil {
		return user, nil
	}
	user = &authv1alpha1.User{}
	err := user.UnmarshalJSON(raw)
	user.ManagedFields = nil
	return user, err
}
