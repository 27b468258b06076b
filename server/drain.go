package server

import (
	"net/http"
	"sync/atomic"
)

// Drain asks clients to take their next request elsewhere, once it has begun: every answer then closes its connection, in
// HTTP/2 by GOAWAY, so that none is left open when the server stops. It is safe for concurrent use.
type Drain struct {
	begun atomic.Bool
}

// Begin starts the drain. It is never taken back.
func (d *Drain) Begin() { d.begun.Store(true) }

// Begun says whether the drain has begun.
func (d *Drain) Begun() bool { return d.begun.Load() }

// Handler wraps a handler.
func (d *Drain) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.Begun() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
