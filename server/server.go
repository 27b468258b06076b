// Package server serves HTTP. It mounts the APIs that clients speak and applies the same limits,
// metrics and audit to all of them. Each API translates between its wire format and the verdicts of
// internal/authn. The APIs do not know each other.
package server

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/server/request"
)

// The limits of a connection. The write timeout must leave room for a password hash, which may wait
// 4 s for a slot and then take another 4 s.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maximumHeader     = 32 << 10
	maximumStreams    = 64 // of one HTTP/2 connection
)

// NewHTTP returns an HTTP server for h that limits everything a slow or greedy client could drag
// out, and adds the headers that every response has. http.Server itself adds 4 KiB to MaxHeaderBytes,
// so NewHTTP subtracts them.
func NewHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           secure(h),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maximumHeader - 4<<10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maximumStreams, MaxReceiveBufferPerStream: request.MaximumBody},
	}
}
