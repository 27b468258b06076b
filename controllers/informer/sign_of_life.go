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
