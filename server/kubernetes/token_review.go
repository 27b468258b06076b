// Package kubernetes answers TokenReviews, so that an API server can take the service as its webhook token authenticator.
//
// The format is that of https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication.
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

// reserved begins the names of groups that Kubernetes gives rights by itself, system:masters above all. Nobody becomes
// administrator of a cluster because a User says so: such groups are left out.
const reserved = "system:"

// Config is what the door needs.
type Config struct {
	Tokens   *authn.Token
	Audience []string // of a review that names no audiences
}

// New returns the door.
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
			fail(w, http.StatusNotFound, "there is nothing at this path")
		},
		MethodNotAllowed: methodNotAllowed,
	}
}

type reviewer struct{ Config }

func (v reviewer) review(w http.ResponseWriter, r *http.Request) {
	body, err := request.Body(r)
	if errors.Is(err, request.ErrTooLarge) {
		fail(w, http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "the body cannot be read")
		return
	}
	if !request.IsJSON(r) {
		fail(w, http.StatusBadRequest, "send a TokenReview as application/json")
		return
	}
	q, err := parse(body)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	v.answer(w, r, q)
}

func (v reviewer) answer(w http.ResponseWriter, r *http.Request, q question) {
	id, err := v.Tokens.Authenticate(r.Context(), q.token)
	if errors.Is(err, authn.ErrUnavailable) {
		w.Header().Set("Retry-After", strconv.Itoa(authn.RetryAfter(err)))
		fail(w, http.StatusServiceUnavailable, "the service is still starting; try again")
		return
	}
	review := tokenReview{APIVersion: q.apiVersion, Kind: kind}
	if err == nil {
		review.Status = v.status(id, q.audiences)
	}
	api.WriteJSON(w, http.StatusOK, review)
}

// status says whose a good token is, if it is for one of the audiences asked for. Without any, the service's own are
// meant, as an API server means its own (TokenReviewSpec). Only audiences that hold are given back: without them the
// caller would have to take the token as being for itself.
func (v reviewer) status(id authn.Identity, asked []string) status {
	if len(asked) == 0 {
		asked = v.Audience
	}
	var shared []string
	for _, audience := range asked {
		if slices.Contains(id.Claims.Audience, audience) {
			shared = append(shared, audience)
		}
	}
	if len(shared) == 0 {
		return status{}
	}
	return status{
		Authenticated: true,
		User:          &user{Username: id.User.Login, UID: id.User.UID, Groups: unreserved(id.User.Groups)},
		Audiences:     shared,
	}
}

func unreserved(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return strings.HasPrefix(g, reserved) })
}

func methodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusMethodNotAllowed, "POST a TokenReview here")
}

func fail(w http.ResponseWriter, status int, message string) {
	api.WriteJSON(w, status, map[string]string{"error": message})
}
