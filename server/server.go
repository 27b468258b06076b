// Package server answers HTTP: it mounts each API that clients speak, and gives all of them the same limits, metrics and audit. An
// API translates between its wire format and the verdicts of internal/authn. The APIs know nothing of one another.
package server

import (
	"net/http"
	"time"
)

// The limits of a connection. A password hash may wait 4 s for its slot and take 4 s more.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maximumHeader     = 32 << 10
)

// NewHTTP returns a server for a handler with limits on everything that a client may spin out. http.Server adds 4 KiB to
// MaxHeaderBytes by itself, which is taken off here.
func NewHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maximumHeader - 4<<10,
	}
}
