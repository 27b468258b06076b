package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/server/request"
)

// form is the parameters of a request by name. A parameter without a value counts as not sent (RFC 6749, 3.1 and 3.2), and so
// it is here: the value of one that is missing is empty. Parameters that no endpoint knows are ignored.
type form map[string]string

// readForm reads the body of a request. Parameters in the query are never looked at: they would end in access logs. The error
// is an invalidRequest or request.ErrTooLarge.
func readForm(r *http.Request) (form, error) {
	body, err := request.Body(r)
	switch {
	case errors.Is(err, request.ErrTooLarge):
		return nil, err
	case err != nil:
		return nil, invalidRequest("the body ended early or came too slowly")
	case len(body) > 0 && request.MediaType(r) != "application/x-www-form-urlencoded":
		return nil, invalidRequest("the Content-Type of the body must be application/x-www-form-urlencoded")
	}
	return parseForm(string(body))
}

func parseForm(body string) (form, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, invalidRequest("the body is not in the encoding of a form")
	}
	f := form{}
	for name, all := range values {
		switch {
		case len(all) > 1:
			return nil, invalidRequest("a parameter comes more than once")
		case !utf8.ValidString(name), !utf8.ValidString(all[0]):
			return nil, invalidRequest("the body is not in UTF-8")
		}
		f[name] = all[0]
	}
	return f, nil
}
