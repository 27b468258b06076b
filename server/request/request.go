// Package request reads what all APIs read from HTTP requests in the same way: bodies within
// limits, credentials, media types. It writes no responses: each API decides what it tells clients.
package request

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// MaximumBody is the largest request body, in bytes, that Body reads.
const MaximumBody = 64 << 10

// ErrTooLarge reports that a request body is larger than MaximumBody. APIs send its text to
// clients.
var ErrTooLarge = fmt.Errorf("request body is larger than %d bytes", MaximumBody)

// Body reads the whole body of r. The error is ErrTooLarge if the body is larger than MaximumBody,
// and another one if it cannot be read to its end. An announced length above the limit is refused
// before anything is read.
func Body(r *http.Request) ([]byte, error) {
	if r.ContentLength > MaximumBody {
		return nil, ErrTooLarge
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaximumBody+1))
	if err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	if len(body) > MaximumBody {
		return nil, ErrTooLarge
	}
	return body, nil
}

// MediaType returns the media type of the body in lower case and without parameters. It returns ""
// if there is no Content-Type, and "?" if it cannot be parsed.
func MediaType(r *http.Request) string {
	header := r.Header.Get("Content-Type")
	if header == "" || header == "application/json" {
		return header
	}
	mediaType, _, err := mime.ParseMediaType(header)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return "?"
	}
	return mediaType
}

// IsJSON reports whether the body may be parsed as JSON: its media type is JSON or not given.
func IsJSON(r *http.Request) bool {
	mediaType := MediaType(r)
	return mediaType == "" || mediaType == "application/json"
}

// Authorization returns the scheme, in lower case, and the credentials of the only Authorization
// header (RFC 9110, 11.4). ok is false if there is no such header, more than one, or one that lacks
// a scheme or credentials.
func Authorization(r *http.Request) (scheme, credentials string, ok bool) {
	headers := r.Header["Authorization"]
	if len(headers) != 1 {
		return "", "", false
	}
	scheme, credentials, ok = strings.Cut(headers[0], " ")
	credentials = strings.Trim(credentials, " ")
	return strings.ToLower(scheme), credentials, ok && credentials != ""
}

// Basic returns the login and the password of the only Authorization header (RFC 7617). The
// password may contain colons. ok is false if there is no single header with valid Basic
// credentials.
func Basic(r *http.Request) (login, password string, ok bool) {
	scheme, credentials, ok := Authorization(r)
	if !ok || scheme != "basic" {
		return "", "", false
	}
	return ParseBasic(credentials)
}

// ParseBasic parses the credentials of the Basic scheme: login, colon and password in UTF-8,
// encoded in base64.
func ParseBasic(credentials string) (login, password string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil || !utf8.Valid(raw) {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}

// Bearer returns the token of the only Authorization header if its scheme is Bearer (RFC 6750) or
// JWT, the scheme of the Redis Enterprise API.
func Bearer(r *http.Request) (token string, ok bool) {
	scheme, credentials, ok := Authorization(r)
	return credentials, ok && (scheme == "bearer" || scheme == "jwt")
}
