package verify

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

type contextKey struct{}

// FromContext returns the Identity that Middleware has found.
func FromContext(ctx context.Context) (*Identity, bool) {
	id, ok := ctx.Value(contextKey{}).(*Identity)
	return id, ok
}

// NewContext returns a context with an Identity, for servers that do not use Middleware.
func NewContext(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// Middleware passes requests with a good Bearer token on to next, with its Identity in the context. It
// answers 401 to others, and 503 if there is no verdict.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a Bearer token is required", http.StatusUnauthorized)
			return
		}
		id, err := v.Verify(r.Context(), strings.TrimSpace(token))
		switch {
		case errors.Is(err, ErrStale), errors.Is(err, ErrUnavailable):
			w.Header().Set("Retry-After", "1")
			http.Error(w, "tokens cannot be verified now; try again later", http.StatusServiceUnavailable)
		case err != nil:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "invalid token", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), id)))
		}
	})
}
