package forwardauth

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

var (
	errNoCredentials = errors.New("no credentials, or none that can be read")
	errUntellable    = errors.New("the user cannot be named in a header")
)

// refuse answers 401, the same for every reason, or 503 when there is no verdict. Both schemes are offered, each in a header
// of its own (RFC 9110, 11.6.1; RFC 7617; RFC 6750).
func refuse(w http.ResponseWriter, err error) {
	if !authn.IsRefusal(err) && !errors.Is(err, errNoCredentials) && !errors.Is(err, errUntellable) {
		w.Header().Set("Retry-After", strconv.Itoa(authn.RetryAfter(err)))
		answer(w, http.StatusServiceUnavailable, "no verdict can be given now; try again")
		return
	}
	w.Header()["Www-Authenticate"] = []string{`Basic realm="gatehouse", charset="UTF-8"`, `Bearer realm="gatehouse"`}
	answer(w, http.StatusUnauthorized, "valid credentials are needed")
}

func answer(w http.ResponseWriter, status int, message string) {
	api.WriteJSON(w, status, map[string]string{"error": message})
}
