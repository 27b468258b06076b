package forwardauth

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/server/door"
)

var (
	errNoCredentials = errors.New("no credentials, or none that can be read")
	errUntellable    = errors.New("the user cannot be named in a header")
)

// shortWait is when to ask again while the directory is being filled.
const shortWait = time.Second

// refuse answers 401, the same for every reason, or 503 when there is no verdict. Both schemes are offered, each in a header
// of its own (RFC 9110, 11.6.1; RFC 7617; RFC 6750).
func refuse(w http.ResponseWriter, err error) {
	if wait, ok := undecided(err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		answer(w, http.StatusServiceUnavailable, "no verdict can be given now; try again")
		return
	}
	w.Header()["Www-Authenticate"] = []string{`Basic realm="gatehouse", charset="UTF-8"`, `Bearer realm="gatehouse"`}
	answer(w, http.StatusUnauthorized, "valid credentials are needed")
}

// undecided says whether an error is none about the credentials, and when to try again.
func undecided(err error) (retryAfter time.Duration, ok bool) {
	if busy, ok := errors.AsType[*authn.BusyError](err); ok {
		return busy.RetryAfter, true
	}
	return shortWait, errors.Is(err, authn.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func answer(w http.ResponseWriter, status int, message string) {
	door.WriteJSON(w, status, map[string]string{"error": message})
}
