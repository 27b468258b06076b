package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gatehouse-auth/gatehouse/verify"
)

// A service checks a token. The Verifier of the example has no service to follow, and does not guess.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop() // ends what runs in the background
	v, err := verify.New(ctx, verify.Config{
		Issuer:      "https://localhost:1",
		Audience:    "https://shop.example.com",
		Credentials: verify.Password("shop", "the password of the User shop"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := v.Verify(ctx, "the token of a client")
	switch {
	case errors.Is(err, verify.ErrStale), errors.Is(err, verify.ErrUnavailable):
		fmt.Println("no verdict, try again later:", err)
	case err != nil:
		fmt.Println("refused:", err)
	default:
		fmt.Println("hello", id.Login)
	}
	// Output: no verdict, try again later: revocations are out of date
}

// An HTTP server lets in clients with a good token only.
func ExampleVerifier_Middleware() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	v, err := verify.New(ctx, verify.Config{
		Issuer: "https://localhost:1", Credentials: verify.Password("shop", "the password of the User shop"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintln(w, "hello", id.Login)
	})
	w := httptest.NewRecorder()
	v.Middleware(hello).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)) // a client without a token
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer
}
