package server

import (
	"net/http"
	"sync"
	"sync/atomic"
)

// Drain tells clients to send their next request to another replica. Once it has begun, every
// response closes its connection, in HTTP/2 with GOAWAY, so that no connection is open when the
// server stops. It is safe for concurrent use.
type Drain struct {
	begun atomic.Bool
	once  sync.Once
	start chan struct{} // closed by Begin
}

// Begin starts the drain, for good.
func (d *Drain) Begin() {
	started := d.channel()
	if d.begun.CompareAndSwap(false, true) {
		close(started)
	}
}

// Started returns a channel that Begin closes.
func (d *Drain) Started() <-chan struct{} { return d.channel() }

func (d *Drain) channel() chan struct{} {
	d.once.Do(func() { d.start = make(chan struct{}) })
	return d.start
}

// Begun reports whether the drain has begun.
func (d *Drain) Begun() bool { return d.begun.Load() }

// Handler wraps next so that its responses close their connections once the drain has begun.
func (d *Drain) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.Begun() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
