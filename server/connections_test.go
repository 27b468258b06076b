package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatehouse-auth/gatehouse/server"
)

// limited starts an HTTPS server that answers at once and holds connections within limits.
func limited(t *testing.T, limits server.ConnectionLimits) (*server.Connections, *httptest.Server) {
	t.Helper()
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	connections := server.LimitConnections(ts.Listener, limits)
	ts.Listener, ts.Config.ConnState = connections, connections.ConnState
	ts.StartTLS()
	t.Cleanup(ts.Close)
	return connections, ts
}

// dial opens a connection and makes the handshake.
func dial(t *testing.T, ts *httptest.Server) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", ts.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends one request and reads its answer, after which the connection is idle.
func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
}

// isClosed waits until the server has closed a connection.
func isClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open: %v", err)
	}
}

func assertConnections(t *testing.T, connections *server.Connections, open, closed int) {
	t.Helper()
	want := fmt.Sprintf(`
# HELP gatehouse_connections Open connections to the HTTPS server.
# TYPE gatehouse_connections gauge
gatehouse_connections %d
# HELP gatehouse_connections_closed_total Connections that the server closed because it held too many, new or idle.
# TYPE gatehouse_connections_closed_total counter
gatehouse_connections_closed_total %d
`, open, closed)
	if err := testutil.CollectAndCompare(connections, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	t.Run("closes the connection that has been idle for longest to make room", func(t *testing.T) {
		t.Parallel()
		connections, ts := limited(t, server.ConnectionLimits{Total: 2, PerNetwork: 2})
		first, second := dial(t, ts), dial(t, ts)
		ask(t, first)
		ask(t, second)
		ask(t, dial(t, ts))
		isClosed(t, first)
		ask(t, second)
		assertConnections(t, connections, 2, 1)
	})
	for name, limits := range map[string]server.ConnectionLimits{
		"refuses another one while all are busy":            {Total: 2, PerNetwork: 9},
		"refuses another one of a network that has its all": {Total: 9, PerNetwork: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connections, ts := limited(t, limits)
			dial(t, ts)
			dial(t, ts)
			refused, err := net.Dial("tcp", ts.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = refused.Close() }()
			isClosed(t, refused)
			assertConnections(t, connections, 2, 1)
		})
	}
	t.Run("exempts proxies from the limit of a network", func(t *testing.T) {
		t.Parallel()
		_, ts := limited(t, server.ConnectionLimits{Total: 9, PerNetwork: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
		first := dial(t, ts)
		ask(t, dial(t, ts))
		ask(t, first)
	})
}
