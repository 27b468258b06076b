package remote

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"unicode"
)

// maximumMessage is how much of a message of the service an error repeats, in characters.
const maximumMessage = 500

// Error is the refusal of a request by the service.
type Error struct {
	Status     int
	Kind       string // such as puppetlabs.rbac/user-unauthenticated; empty if the response has none
	Message    string // what the service says; empty if it says nothing that can be shown
	RetryAfter string // the header of that name, in seconds; empty if there is none
}

// Error returns what the service says and, where that helps, what to do.
func (e *Error) Error() string {
	message := e.Message
	if message == "" {
		message = fmt.Sprintf("the service answered %d %s", e.Status, http.StatusText(e.Status))
	}
	switch {
	case e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable:
		if e.RetryAfter != "" {
			return message + "; try again in " + e.RetryAfter + " s"
		}
		return message + "; try again later"
	case e.Status == http.StatusNotFound && e.Kind == "":
		return message + "; is --server right?"
	}
	return message
}

// Refused reports whether err says that the service does not accept the credential: asking again
// with the same one does not help.
func Refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

// newError returns the error of a response. It shows the text of a response only if the response is
// an error of one of the APIs, because anything else may come from another program.
func newError(response *http.Response, body []byte) *Error {
	e := &Error{Status: response.StatusCode, RetryAfter: printable(response.Header.Get("Retry-After"))}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return e
	}
	var answer struct {
		Kind        string          `json:"kind"`
		Msg         string          `json:"msg"`
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return e
	}
	var code string
	_ = json.Unmarshal(answer.Error, &code) // an error of another form has no code
	e.Kind = printable(answer.Kind)
	for _, text := range []string{answer.Msg, answer.Description, code} {
		if e.Message == "" {
			e.Message = printable(text)
		}
	}
	return e
}

// printable returns text without what could change the state of a terminal, and not too much of it.
func printable(text string) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text))
	return strings.TrimSuffix(string(clean[:min(len(clean), maximumMessage)]), ".")
}

// explain returns an error that says what to do about a failed connection.
func (c *Client) explain(err error) error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		dns      *net.DNSError
		wrapped  *url.Error
	)
	host := c.base.Host
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s: no CA that this machine trusts has signed the certificate; give the CA of the service with --ca FILE "+
			"(in a cluster it is in the ConfigMap gatehouse-ca, standalone in STATE/ca.crt)", host)
	case errors.As(err, &hostname):
		return fmt.Errorf("%s: the certificate is for another name: %w; use that name in --server", host, hostname)
	case errors.As(err, &invalid):
		return fmt.Errorf("%s: the certificate is not valid: %w", host, invalid)
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("%s: no such host; is --server right?", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: nothing listens there; is the service running, and is --server right?", host)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%s speaks plain HTTP; if that is intended, write --server http://%s", host, host)
	case errors.As(err, &wrapped):
		return fmt.Errorf("%s: %w", host, wrapped.Err) // without the path, which may hold a token
	}
	return fmt.Errorf("%s: %w", host, err)
}

// HasKind reports whether err is a refusal of this kind.
func HasKind(err error, kind string) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}
