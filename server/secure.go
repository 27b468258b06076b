package server

import "net/http"

// maximumParsedHeader is how many bytes of a header count that is parsed only to choose a format.
const maximumParsedHeader = 1 << 10

// secure adds headers for browsers to every response: not to guess a media type and, over TLS, not to
// come without TLS for a year. It cuts headers that cost time to parse.
func secure(next http.Handler) http.Handler {
	nosniff, hsts := []string{"nosniff"}, []string{"max-age=31536000"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"] = nosniff[:1:1] // so that Add copies it
		if r.TLS != nil {
			h["Strict-Transport-Security"] = hsts[:1:1]
		}
		cutHeader(r.Header, "Accept")
		cutHeader(r.Header, "Content-Type")
		next.ServeHTTP(w, r)
	})
}

// cutHeader keeps the first maximumParsedHeader bytes of all values of a header.
func cutHeader(h http.Header, name string) {
	room := maximumParsedHeader
	for i, value := range h[name] {
		if room -= len(value); room < 0 {
			h[name][i] = value[:len(value)+room]
			h[name] = h[name][:i+1]
			return
		}
	}
}
