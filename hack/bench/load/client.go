package load

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// target is one server and how to reach it.
type target struct {
	address string
	tls     *tls.Config
	from    string // local address; empty: any
}

// client is Go's own HTTP client with one connection, which it keeps alive unless reconnecting says
// otherwise: what a service that asks for tokens has. Its cost is in the figures of the service and
// of its limit alike.
type client struct {
	base string
	http *http.Client
}

func (t target) client() *client {
	dialer := &net.Dialer{}
	if t.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(t.from)}
	}
	return &client{"https://" + t.address, &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: t.tls.Clone(), MaxConnsPerHost: 1},
	}}
}

// clients returns n of them, and a function that closes their connections.
func (t target) clients(n int) (all []*client, hangUp func()) {
	for range n {
		all = append(all, t.client())
	}
	return all, func() {
		for _, c := range all {
			c.hangUp()
		}
	}
}

func (c *client) hangUp() { c.http.CloseIdleConnections() }

// reconnecting makes the client open a connection for each request. With resume, each connection
// resumes the TLS session of the one before; without, none does.
func (c *client) reconnecting(resume bool) {
	t := c.http.Transport.(*http.Transport) //nolint:errcheck,forcetypeassert // made above
	t.DisableKeepAlives = true
	if resume {
		t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
}

// call is one request.
type call struct {
	method, path string
	header       http.Header
	body         string
}

// do makes a call and returns the status and the body of the answer.
func (c *client) do(ctx context.Context, what call) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, what.method, c.base+what.path, strings.NewReader(what.body))
	if err != nil {
		return 0, nil, err
	}
	r.Header = what.header
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}
