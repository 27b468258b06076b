package server_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// sink is an http.ResponseWriter that keeps only the status.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkRequest measures a request from the handler down, including audit log and metrics, but
// without the network.
func BenchmarkRequest(b *testing.B) {
	s := newServiceWith(b, servertest.Options{PasswordCacheTTL: time.Hour, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	jwtText, opaqueText := issue(b, s, "alice", jwt), issue(b, s, "alice", opaque)
	const json = "Content-Type: application/json"
	for _, c := range []struct{ name, method, path, body, headers string }{
		{"authorize", "POST", "/v1/users/authorize", `{"ttl":600}`, basic("alice", "right") + "\n" + json},
		{"token", "POST", "/rbac-api/v1/auth/token", `{"login":"alice","password":"right","lifetime":"4h"}`, json},
		{"authenticate", "POST", "/rbac-api/v2/auth/token/authenticate", `{"token":"` + opaqueText + `"}`, json},
		{"introspect", "POST", "/oauth2/introspect", "token=" + jwtText, basic("alice", "right") + "\n" + formType},
		{"verify", "GET", "/auth/verify", "", "Authorization: Bearer " + jwtText},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), c.method, c.path, http.NoBody)
			for line := range strings.SplitSeq(c.headers, "\n") {
				name, value, _ := strings.Cut(line, ": ")
				r.Header.Set(name, value)
			}
			body := strings.NewReader(c.body)
			r.Body, r.ContentLength = io.NopCloser(body), int64(len(c.body))
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(c.body)
				response := sink{header: http.Header{}}
				s.Handler.ServeHTTP(&response, r)
				if response.status != http.StatusOK {
					b.Fatalf("status %d", response.status)
				}
			}
		})
	}
}
