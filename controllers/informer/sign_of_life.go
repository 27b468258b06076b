package informer

import (
	"io"
	"net/http"

	"k8s.io/client-go/transport"
)

// SignsOfLife returns a wrapper for the transport of a connection to the API server. It calls heard
// for each successful answer and for whatever arrives on a watch: an event, or one of the bookmarks
// that the API server sends about once a minute. What only a proxy may have answered does not count.
func SignsOfLife(heard func()) transport.WrapperFunc {
	return func(next http.RoundTripper) http.RoundTripper { return &listener{next, heard} }
}

// heardKey is the key of a function in the context of a request, which is called for each sign of life
// that answers the request.
type heardKey struct{}

// attention wraps the transport of the caches, so that each hears the signs of life of its own watch.
func attention(next http.RoundTripper) http.RoundTripper { return &attentive{next} }

type attentive struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a *attentive) RoundTrip(r *http.Request) (*http.Response, error) {
	heard, ok := r.Context().Value(heardKey{}).(func())
	if !ok {
		return a.next.RoundTrip(r)
	}
	return (&listener{a.next, heard}).RoundTrip(r)
}

// WrappedRoundTripper lets client-go reach the transport, for example to close its connections.
func (a *attentive) WrappedRoundTripper() http.RoundTripper { return a.next }

type listener struct {
	next  http.RoundTripper
	heard func()
}

// RoundTrip implements http.RoundTripper.
func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err != nil || response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusMultipleChoices {
		return response, err
	}
	l.heard()
	response.Body = &heardBody{response.Body, l.heard}
	return response, nil
}

// WrappedRoundTripper lets client-go reach the transport, for example to close its connections.
func (l *listener) WrappedRoundTripper() http.RoundTripper { return l.next }

type heardBody struct {
	io.ReadCloser
	heard func()
}

// Read implements io.Reader.
func (b *heardBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.heard()
	}
	return n, err
}
