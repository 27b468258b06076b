package apitest

import "net/http"

// ListOnly returns the transport to an API server that cannot begin a watch with all objects, so that
// clients list them first.
func ListOnly(next http.RoundTripper) http.RoundTripper { return listOnly{next} }

type listOnly struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l listOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if query := r.URL.Query(); query.Has("sendInitialEvents") {
		query.Set("resourceVersionMatch", "Unknown") // which the API server refuses
		r = r.Clone(r.Context())
		r.URL.RawQuery = query.Encode()
	}
	return l.next.RoundTrip(r)
}
