// Package fetch gets small documents of other services, within limits that keep a slow, huge or
// redirecting service from doing harm.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maximumDocument is the size in bytes of the largest document.
const maximumDocument = 1 << 20

// Client gets documents. Create it with New or Wrap.
type Client struct{ client *http.Client }

// New returns a Client that trusts the authorities in roots, or those of the system if roots is
// nil. It uses the proxy that the environment names.
func New(roots *x509.CertPool) *Client {
	return Wrap(&http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 5 * time.Second,
		MaxIdleConns:          1,
		IdleConnTimeout:       time.Second,
		ForceAttemptHTTP2:     true,
	})
}

// Wrap returns a Client that sends its requests through a transport.
func Wrap(transport http.RoundTripper) *Client {
	return &Client{&http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Get returns the document at a URL. It follows no redirection. The error quotes nothing of the
// response.
func (c *Client) Get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	// Some servers refuse to send a key set as anything but what it is.
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered with status %d", url, response.StatusCode)
	}
	if response.ContentLength > maximumDocument {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maximumDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	if len(body) > maximumDocument {
		return nil, errTooLarge
	}
	return body, nil
}

var errTooLarge = errors.New("the document is larger than 1 MiB")
