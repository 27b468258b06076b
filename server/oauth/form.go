package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/server/request"
)

// form maps the parameters of a request to their values. Endpoints ignore parameters that they do
// not know.
type form map[string][]string

// get returns the first value of a parameter. A missing parameter has the empty value, because a
// parameter without a value counts as not sent (RFC 6749, 3.1 and 3.2).
func (f form) get(name string) string {
	if len(f[name]) == 0 {
		return ""
	}
	return f[name][0]
}

// repeatable reports whether a request may have a parameter several times (RFC 8707, 2, and RFC
// 8693, 2.1). All others may occur once (RFC 6749, 3.2).
func repeatable(name string) bool { return name == "resource" || name == "audience" }

// readForm reads a form from the body of a request. It ignores the query, because parameters there
// would end up in access logs. The error is an invalidRequest or request.ErrTooLarge.
func readForm(r *http.Request) (form, error) {
	body, err := request.Body(r)
	switch {
	case errors.Is(err, request.ErrTooLarge):
		return nil, err
	case err != nil:
		return nil, invalidRequest("request body ended early or arrived too slowly")
	case len(body) > 0 && request.MediaType(r) != "application/x-www-form-urlencoded":
		return nil, invalidRequest("Content-Type must be application/x-www-form-urlencoded")
	}
	return parseForm(string(body))
}

func parseForm(body string) (form, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, invalidRequest("request body is not form-encoded")
	}
	f := form{}
	for name, list := range values {
		switch {
		case len(list) > 1 && !repeatable(name):
			return nil, invalidRequest("a parameter is repeated")
		case !utf8.ValidString(name), slices.ContainsFunc(list, func(value string) bool { return !utf8.ValidString(value) }):
			return nil, invalidRequest("request body is not valid UTF-8")
		}
		f[name] = list
	}
	return f, nil
}
