// Package grpc shows a gRPC server that lets in clients with a good token only.
package grpc

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-auth/gatehouse/verify"
)

// Authenticate returns an interceptor that puts the Identity of a good token into the context, where
// verify.FromContext finds it.
func Authenticate(v *verify.Verifier) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		header := strings.Join(metadata.ValueFromIncomingContext(ctx, "authorization"), "")
		id, err := v.Verify(ctx, strings.TrimPrefix(header, "Bearer "))
		switch {
		case errors.Is(err, verify.ErrStale), errors.Is(err, verify.ErrUnavailable):
			return nil, status.Error(codes.Unavailable, "tokens cannot be verified now; try again later")
		case err != nil:
			return nil, status.Error(codes.Unauthenticated, "invalid token")
		}
		return next(verify.NewContext(ctx, id), request)
	}
}
