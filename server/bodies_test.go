package server_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// stall opens a connection and sends the head of a login whose body of 64 KiB never comes.
func stall(t *testing.T, s *servertest.Service) io.Closer {
	t.Helper()
	address, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", address.Host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST /v1/users/authorize HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 64<<10); err != nil {
		t.Fatal(err)
	}
	return conn
}

// await sends the same request until its answer has a status.
func await(t *testing.T, status int, send func() servertest.Answer) servertest.Answer {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		a := send()
		if a.Status == status {
			return a
		}
		select {
		case <-deadline:
			t.Fatalf("want %d, got\n%s", status, a)
		case <-tick.C:
		}
	}
}

func TestBodiesInFlight(t *testing.T) {
	t.Parallel()
	s := newServiceWith(t, servertest.Options{PasswordCacheTTL: time.Minute, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	elsewhere := "X-Forwarded-For: 203.0.113.9"
	login := func(headers ...string) servertest.Answer {
		return s.Send(t, "POST", "/v1/users/authorize", "{}", append(headers, basic("alice", "right"), "Content-Type: application/json")...)
	}
	var stalled []io.Closer
	for range 32 { // 2 MiB, all that one network may have
		stalled = append(stalled, stall(t, s))
	}
	for path, method := range map[string]string{
		"/v1/users/authorize": "POST", "/rbac-api/v1/auth/token": "POST", "/oauth2/token": "POST", "/auth/verify": "GET",
		"/apis/authentication.k8s.io/v1/tokenreviews": "POST",
	} {
		a := await(t, http.StatusServiceUnavailable, func() servertest.Answer { return s.Send(t, method, path, "{}") })
		if a.Header.Get("Retry-After") == "" || a.Body == "" {
			t.Errorf("%s: want Retry-After and a body, got\n%s", path, a)
		}
	}
	if a := login(elsewhere); a.Status != http.StatusOK {
		t.Errorf("a client in another network gets\n%s", a)
	}
	if a := s.Send(t, "POST", "/v1/users/authorize", "", basic("alice", "right")); a.Status != http.StatusOK {
		t.Errorf("a request without a body gets\n%s", a)
	}
	for _, c := range stalled {
		_ = c.Close()
	}
	await(t, http.StatusOK, func() servertest.Answer { return login() })
}
