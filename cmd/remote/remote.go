// Package remote is the client of a running service. It speaks the public routes only, so everything
// that it does can be done with curl as well.
package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// timeout limits one request. A login may wait for a free slot to compute a hash.
	timeout = 30 * time.Second
	// maximumResponse is the maximum size of a response in bytes. A list of all tokens of one user
	// fits.
	maximumResponse = 4 << 20
)

// Client sends requests to one service. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	http      *http.Client
	userAgent string
}

// New returns a Client of the service at server, such as https://gatehouse.example.com. ca is the
// path of a file with the certificates in PEM that the service's certificate must lead to; if it is
// empty, those of the operating system count. It sends nothing.
func New(server, ca, version string) (*Client, error) {
	base, err := ParseServer(server)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		if config.RootCAs, err = readCertificates(ca); err != nil {
			return nil, err
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck,forcetypeassert // documented to be one
	transport.TLSClientConfig = config
	return &Client{base: base, userAgent: "gatehouse/" + version, http: &http.Client{
		Transport: transport,
		Timeout:   timeout,
		// A redirect would send a token or a password to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// ParseServer returns the URL of a service. The scheme may be left out: it is https.
func ParseServer(server string) (*url.URL, error) {
	if server == "" {
		return nil, errors.New("which service? Give its address with --server https://HOST:PORT or in GATEHOUSE_SERVER")
	}
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("--server is not a URL; write it as https://HOST:PORT")
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("--server must be https://HOST:PORT, without a user, a query or a fragment")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// readCertificates returns the certificates in the PEM file at path.
func readCertificates(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- the user names the file
	if err != nil {
		return nil, fmt.Errorf("read --ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca %s: no certificate in PEM found", path)
	}
	return pool, nil
}

// call describes one request.
type call struct {
	method, path string
	token        string     // for X-Authentication; empty to send none
	json         any        // the body; nil for none
	form         url.Values // the body instead of json; nil for none
	bearer       bool       // send the token as a Bearer token, as the OAuth routes want it
}

// do sends a request and decodes the response into out, unless out is nil. Any status but 2xx is an
// *Error.
func (c *Client) do(ctx context.Context, call call, out any) error {
	request, err := c.request(ctx, call)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.explain(err)
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	body, err := io.ReadAll(io.LimitReader(response.Body, maximumResponse+1))
	switch {
	case err != nil:
		return c.explain(err)
	case len(body) > maximumResponse:
		return fmt.Errorf("the response of %s is larger than %d MiB", c.base.Host, maximumResponse>>20)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return newError(response, body)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s does not answer as Gatehouse does; is --server right?", c.base)
	}
	return nil
}

// request returns the HTTP request of a call.
func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	var body io.Reader
	contentType := ""
	switch {
	case call.form != nil:
		body, contentType = strings.NewReader(call.form.Encode()), "application/x-www-form-urlencoded"
	case call.json != nil:
		text, err := json.Marshal(call.json)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body, contentType = bytes.NewReader(text), "application/json"
	}
	request, err := http.NewRequestWithContext(ctx, call.method, c.base.String()+call.path, body)
	if err != nil {
		return nil, errors.New("the address of the service cannot be used in a request; write --server as https://HOST:PORT")
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.userAgent)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	switch {
	case call.token != "" && call.bearer:
		request.Header.Set("Authorization", "Bearer "+call.token)
	case call.token != "":
		request.Header.Set("X-Authentication", call.token)
	}
	return request, nil
}
