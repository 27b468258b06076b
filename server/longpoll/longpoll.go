// Package longpoll holds the connections of requests that wait for long. net/http has two goroutines
// with their stacks and three buffers for each request in flight, some 45 KiB together; a held
// connection has none of them.
package longpoll

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// writeTimeout is how long a client may take to accept a response.
const writeTimeout = 30 * time.Second

// Listener lets handlers hold the connections that it accepts, and afterwards gives these to the server
// again. It wraps the listener that the server uses, so the one for TLS too. Set ConnContext of the server
// to its method of that name. Create it with Listen.
type Listener struct {
	net.Listener
	accept   sync.Once // begins to accept
	accepted chan accepted
	returned chan net.Conn
	closed   chan struct{}

	mu    sync.Mutex
	ended bool
	held  map[*Conn]struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

// Listen returns a Listener that accepts from inner.
func Listen(inner net.Listener) *Listener {
	return &Listener{
		Listener: inner, accepted: make(chan accepted), returned: make(chan net.Conn), closed: make(chan struct{}), held: map[*Conn]struct{}{},
	}
}

// Accept returns the next connection, new or held before.
func (l *Listener) Accept() (net.Conn, error) {
	l.accept.Do(func() { go l.acceptNew() })
	select {
	case conn := <-l.returned:
		return conn, nil
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *Listener) acceptNew() {
	for {
		conn, err := l.Listener.Accept()
		select {
		case l.accepted <- accepted{conn, err}:
		case <-l.closed:
			if err == nil {
				_ = conn.Close() // nothing was sent
			}
			return
		}
	}
}

// Close stops listening, and closes the held connections.
func (l *Listener) Close() error {
	l.mu.Lock()
	held, again := l.held, l.ended
	l.held, l.ended = nil, true
	l.mu.Unlock()
	if !again {
		close(l.closed)
	}
	for c := range held {
		_ = c.conn.Close() // its client is told so, or is gone
	}
	return l.Listener.Close()
}

// hold counts a connection among the held ones, unless l is closed.
func (l *Listener) hold(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.held[c] = struct{}{}
	return true
}

// drop is the reverse of hold.
func (l *Listener) drop(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, c)
}

type listenerKey struct{}

// ConnContext lets Hold find the Listener. It is for http.Server.
func (l *Listener) ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, listenerKey{}, l)
}

// Conn is the held connection of a request.
type Conn struct {
	listener *Listener
	conn     net.Conn
	header   http.Header // of the response
	last     bool        // the connection ends with this request
}

// Hold takes the connection of a request from its server, and reports whether it has. The response then
// has the headers that w has so far, and the handler must return without using w again. Only connections
// of HTTP/1.1 that come from a Listener can be held, and only for requests without a body.
func Hold(w http.ResponseWriter, r *http.Request) (*Conn, bool) {
	l, ok := r.Context().Value(listenerKey{}).(*Listener)
	if !ok || r.ProtoMajor != 1 || r.ProtoMinor == 0 || r.Method != http.MethodGet || r.ContentLength != 0 {
		return nil, false
	}
	conn, buffers, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, false
	}
	// A client that has sent more already, before it has the response, has to send that again.
	c := &Conn{listener: l, conn: conn, header: w.Header(), last: r.Close || buffers.Reader.Buffered() > 0}
	if !l.hold(c) {
		_ = conn.Close() // as if it had been held before the Listener was closed
	}
	return c, true
}

// Answer sends the response that h writes, and gives the connection back to its server, or closes it if
// h sets Connection to close. It does not wait for that. It must be called once.
func (c *Conn) Answer(h func(http.ResponseWriter)) {
	go func() {
		w := response{header: c.header}
		h(&w)
		c.listener.drop(c)
		if c.send(&w) != nil || c.last {
			_ = c.conn.Close()
			return
		}
		select {
		case c.listener.returned <- c.conn:
		case <-c.listener.closed:
			_ = c.conn.Close()
		}
	}()
}

func (c *Conn) send(w *response) error {
	c.last = c.last || w.header.Get("Connection") == "close"
	now := time.Now() //nolint:forbidigo // of the network
	w.header.Set("Date", now.UTC().Format(http.TimeFormat))
	full := http.Response{
		StatusCode: cmp.Or(w.status, http.StatusOK), ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Close: c.last,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()),
	}
	var out bytes.Buffer
	if err := full.Write(&out); err != nil {
		return err
	}
	if err := c.conn.SetWriteDeadline(now.Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(out.Bytes()); err != nil {
		return err
	}
	return c.conn.SetWriteDeadline(time.Time{})
}

// response is an http.ResponseWriter that keeps the response.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *response) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *response) WriteHeader(status int) { r.status = cmp.Or(r.status, status) }

// Write implements http.ResponseWriter.
func (r *response) Write(b []byte) (int, error) { return r.body.Write(b) }
