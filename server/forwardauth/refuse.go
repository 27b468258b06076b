package forwardauth

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

var (
	errNoCredentials = errors.New("missing or unreadable credentials")
	errNotHeaderSafe = errors.New("a header cannot carry the login or the groups of the user")
)

// refuse answers 401, identical for every reason, or 503 if there is no verdict. A 401 offers both
// schemes, each in a header of its own (RFC 9110, 11.6.1; RFC 7617; RFC 6750).
func refuse(w http.ResponseWriter, err error) {
	if !authn.IsRefusal(err) && !errors.Is(err, errNoCredentials) && !errors.Is(err, errNotHeaderSafe) {
		w.Header().Set("Retry-After", strconv.Itoa(authn.RetryAfter(err)))
		writeError(w, http.StatusServiceUnavailable, "service temporarily unavailable; try again later")
		return
	}
	w.Header()["Www-Authenticate"] = []string{`Basic realm="gatehouse", charset="UTF-8"`, `Bearer realm="gatehouse"`}
	writeError(w, http.StatusUnauthorized, "missing or invalid credentials")
}

func writeError(w http.ResponseWriter, status int, message string) {
	api.WriteJSON(w, status, map[string]string{"error": message})
}
