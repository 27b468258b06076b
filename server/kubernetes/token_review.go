// Package kubernetes serves TokenReviews, so that an API server can use the service as its webhook
// token authenticator.
//
// The format is that of
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication.
package kubernetes

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// reservedPrefix begins the names of groups to which Kubernetes itself gives rights, above all
// system:masters. A review leaves such groups out, so that a User cannot make anyone administrator
// of a cluster.
const reservedPrefix = "system:"

// Config holds what the API uses. All fields are required.
type Config struct {
	Tokens   *authn.Token
	Audience []string // for reviews that name no audiences
}

// New returns the API.
func New(c Config) api.API {
	r := reviewer{c}
	return api.API{
		Name:     "kubernetes",
		Prefixes: []string{"/apis/"},
		Routes: []api.Route{{
			Path:    "/apis/authentication.k8s.io/v1/tokenreviews",
			Methods: map[string]http.HandlerFunc{http.MethodPost: r.review},
		}},
		NotFound: func(w http.ResponseWriter, _ *http.Request) {
			writeError(w, http.StatusNotFound, "not found")
		},
		MethodNotAllowed: methodNotAllowed,
		Unavailable:      func(w http.ResponseWriter, _ *http.Request) { writeUnavailable(w, authn.ErrUnavailable) },
	}
}

type reviewer struct{ Config }

func writeUnavailable(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", strconv.Itoa(authn.RetryAfter(err)))
	writeError(w, http.StatusServiceUnavailable, "service temporarily unavailable; try again later")
}

func (v reviewer) review(w http.ResponseWriter, r *http.Request) {
	body, err := request.Body(r)
	if errors.Is(err, request.ErrTooLarge) {
		writeError(w, http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "cannot read the request body")
		return
	}
	if !request.IsJSON(r) {
		writeError(w, http.StatusBadRequest, "send a TokenReview as application/json")
		return
	}
	q, err := parseReview(body)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	v.writeReview(w, r, q)
}

func (v reviewer) writeReview(w http.ResponseWriter, r *http.Request, q reviewRequest) {
	id, err := v.Tokens.Inspect(r.Context(), q.token)
	if errors.Is(err, authn.ErrUnavailable) {
		writeUnavailable(w, err)
		return
	}
	review := tokenReview{APIVersion: q.apiVersion, Kind: kind}
	if err == nil {
		review.Status = v.status(id, q.audiences)
	}
	api.WriteJSON(w, http.StatusOK, review)
}

// status returns the user of a valid token if the token is for one of the requested audiences. If
// none is requested, the audiences of the service apply, just as an API server uses its own
// (TokenReviewSpec). The status lists only audiences that the token has: if it listed none, the
// caller would have to assume that the token is for itself.
func (v reviewer) status(id authn.Identity, requested []string) status {
	if len(requested) == 0 {
		requested = v.Audience
	}
	var shared []string
	for _, audience := range requested {
		if slices.Contains(id.Claims.Audience, audience) {
			shared = append(shared, audience)
		}
	}
	if len(shared) == 0 {
		return status{}
	}
	return status{
		Authenticated: true,
		User:          &user{Username: id.User.Login, UID: id.User.UID, Groups: withoutReserved(id.User.Groups)},
		Audiences:     shared,
	}
}

func withoutReserved(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return strings.HasPrefix(g, reservedPrefix) })
}

func methodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusMethodNotAllowed, "method not allowed; POST a TokenReview to this path")
}

func writeError(w http.ResponseWriter, status int, message string) {
	api.WriteJSON(w, status, map[string]string{"error": message})
}
