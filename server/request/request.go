// Package request reads from HTTP requests what every dialect reads alike: bodies within limits, credentials, media types.
// It answers nothing; what a client is told is the dialect's business.
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

// MaximumBody is the largest body in bytes that is read.
const MaximumBody = 64 << 10

// ErrTooLarge says that a body is larger than MaximumBody.
var ErrTooLarge = fmt.Errorf("the body is larger than %d bytes", MaximumBody)

// Body reads the whole body: ErrTooLarge when it is larger than MaximumBody, another error when it cannot be read.
func Body(r *http.Request) ([]byte, error) {
	if r.ContentLength > MaximumBody {
		return nil, ErrTooLarge
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaximumBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if len(body) > MaximumBody {
		return nil, ErrTooLarge
	}
	return body, nil
}

// MediaType returns the media type of the body in lower case, without parameters: "" when there is no Content-Type, and "?"
// when it cannot be read.
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

// IsJSON says whether a body may be taken as JSON: it is called so, or nothing is said.
func IsJSON(r *http.Request) bool {
	mediaType := MediaType(r)
	return mediaType == "" || mediaType == "application/json"
}

// Authorization returns the scheme, in lower case, and the credentials of the only Authorization header (RFC 9110, 11.4). ok
// is false when there is none, more than one, or one without a scheme and credentials.
func Authorization(r *http.Request) (scheme, credentials string, ok bool) {
	headers := r.Header["Authorization"]
	if len(headers) != 1 {
		return "", "", false
	}
	scheme, credentials, ok = strings.Cut(headers[0], " ")
	credentials = strings.Trim(credentials, " ")
	return strings.ToLower(scheme), credentials, ok && credentials != ""
}

// Basic returns the login and the password of the only Authorization header (RFC 7617). The password may contain colons.
func Basic(r *http.Request) (login, password string, ok bool) {
	scheme, credentials, ok := Authorization(r)
	if !ok || scheme != "basic" {
		return "", "", false
	}
	return ParseBasic(credentials)
}

// ParseBasic reads the credentials of the Basic scheme: base64 of login, colon and password, in UTF-8.
func ParseBasic(credentials string) (login, password string, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil || !utf8.Valid(raw) {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}

// Bearer returns the token of the only Authorization header when its scheme is Bearer (RFC 6750) or JWT, the name that the
// Redis Enterprise API uses.
func Bearer(r *http.Request) (token string, ok bool) {
	scheme, credentials, ok := Authorization(r)
	return credentials, ok && (scheme == "bearer" || scheme == "jwt")
}
