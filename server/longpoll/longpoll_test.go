package longpoll_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/server/longpoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// held is a server whose handler holds the requests for /held, and answers others at once.
type held struct {
	listener *longpoll.Listener
	address  string
	trust    *tls.Config
	waiting  chan *longpoll.Conn
}

func newHeld(t *testing.T) *held {
	t.Helper()
	leaf, bundle, err := authority.Single([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	s := &held{trust: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}, waiting: make(chan *longpoll.Conn, 100)}
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		if r.URL.Path == "/held" {
			if c, ok := longpoll.Hold(w, r); ok {
				s.waiting <- c
				return
			}
		}
		_, _ = io.WriteString(w, "at once")
	}))
	s.listener = longpoll.Listen(tls.NewListener(ts.Listener, &tls.Config{
		Certificates: []tls.Certificate{*leaf}, NextProtos: []string{"h2", "http/1.1"},
	}))
	s.address = ts.Listener.Addr().String()
	ts.Listener, ts.Config.ConnContext = s.listener, s.listener.ConnContext
	ts.Start()
	t.Cleanup(ts.Close)
	return s
}

func (s *held) client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: s.trust.Clone(), ForceAttemptHTTP2: http2, MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// get sends a request, and returns the body of the response and whether its connection was used before.
func (s *held) get(t *testing.T, client *http.Client, path, id string) (body string, reused bool) {
	t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, "https://"+s.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Request-Id", id)
	response, err := client.Do(r)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return "", false
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.Header.Get("X-Request-Id") != id || response.Header.Get("Date") == "" {
		t.Errorf("%s: error %v, headers %v", path, err, response.Header)
	}
	return string(raw), reused
}

// answerNext answers the request that is held next.
func (s *held) answerNext(h http.HandlerFunc) {
	c := <-s.waiting
	c.Answer(func(w http.ResponseWriter) { h(w, nil) })
}

func TestHeldConnectionServesTheNextRequests(t *testing.T) {
	t.Parallel()
	s := newHeld(t)
	client := s.client(t, false)
	for i, want := range []string{"/held", "/", "/held", "/held", "/"} {
		text := "at once"
		if want == "/held" {
			text = fmt.Sprint("answer ", i)
			go s.answerNext(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
		}
		body, reused := s.get(t, client, want, fmt.Sprint("id-", i))
		if body != text || reused != (i > 0) {
			t.Errorf("request %d: %q on a connection that was used before: %t", i, body, reused)
		}
	}
}

func TestStatusAndHeadersOfTheAnswerArrive(t *testing.T) {
	t.Parallel()
	s := newHeld(t)
	go s.answerNext(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Type", "text/x")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, strings.Repeat("long ", 20000))
	})
	response, err := s.client(t, false).Get("https://" + s.address + "/held")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Content-Type") != "text/x" || len(body) != 100000 || !response.Close {
		t.Errorf("error %v, status %d, headers %v, %d bytes, closed %t", err, response.StatusCode, response.Header, len(body), response.Close)
	}
}

func TestOtherRequestsAreNotHeld(t *testing.T) {
	t.Parallel()
	s := newHeld(t)
	if body, _ := s.get(t, s.client(t, true), "/held", "two"); body != "at once" {
		t.Errorf("HTTP/2: %q", body)
	}
	for name, request := range map[string]string{ // each ends its connection, and with it the body
		"a body":   "GET /held HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
		"HTTP/1.0": "GET /held HTTP/1.0\r\nHost: x\r\n\r\n",
		"HEAD":     "HEAD /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	} {
		if status := s.raw(t, request); status != http.StatusOK {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

// raw sends a request byte for byte and returns the status of the response.
func (s *held) raw(t *testing.T, request string) int {
	t.Helper()
	response := s.send(t, request)
	_ = response.Body.Close()
	return response.StatusCode
}

func (s *held) send(t *testing.T, request string) *http.Response {
	t.Helper()
	conn, err := tls.Dial("tcp", s.address, s.trust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// What a client sent before it had the answer is lost, so it has to know that its connection ends.
func TestRequestBehindAHeldOneIsSentAgain(t *testing.T) {
	t.Parallel()
	s := newHeld(t)
	go s.answerNext(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") })
	response := s.send(t, "GET /held HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || string(body) != "answer" || !response.Close {
		t.Errorf("got %q, error %v, closed %t", body, err, response.Close)
	}
}

func TestCloseEndsHeldConnections(t *testing.T) {
	t.Parallel()
	s := newHeld(t)
	conn, err := tls.Dial("tcp", s.address, s.trust)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	c := <-s.waiting
	for range 2 {
		if err := s.listener.Close(); err != nil && !strings.Contains(err.Error(), net.ErrClosed.Error()) {
			t.Error(err)
		}
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a held connection is open after the listener was closed")
	}
	c.Answer(func(w http.ResponseWriter) { _, _ = io.WriteString(w, "late") }) // has no one to go to
	if _, err := s.listener.Accept(); err == nil {
		t.Error("a closed listener accepts")
	}
}
