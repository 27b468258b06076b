package grpc_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-auth/gatehouse/verify"
	example "github.com/gatehouse-auth/gatehouse/verify/examples/grpc"
)

// The Verifier of the example has no service to follow, and does not guess.
func ExampleAuthenticate() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	v, err := verify.New(ctx, verify.Config{
		Issuer: "https://localhost:1", Credentials: verify.Password("shop", "the password of the User shop"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	interceptor := example.Authenticate(v)
	server := grpc.NewServer(grpc.UnaryInterceptor(interceptor))
	defer server.Stop()
	handler := func(ctx context.Context, _ any) (any, error) {
		id, _ := verify.FromContext(ctx)
		return "hello " + id.Login, nil
	}
	_, err = interceptor(ctx, nil, nil, handler)
	fmt.Println(status.Code(err))
	// Output: Unavailable
}
