package verify_test

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/verify"
)

// silent returns the address of a port that answers no further attempt to connect: the kernel drops
// what arrives at a full queue.
func silent(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	bound, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatal("not an IPv4 address")
	}
	address := fmt.Sprintf("127.0.0.1:%d", bound.Port)
	for range 8 {
		c, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("this kernel answers at a full queue")
	return ""
}

// A verifier that waits long for a connection misses the moment at which the service is back.
func TestVerifierTriesToConnectAgainSoon(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	begun, failed := time.Now(), make(chan time.Time, 100)
	if _, err := verify.New(ctx, verify.Config{
		Issuer: "https://" + silent(t), Credentials: verify.Password("a", "b"),
		OnUpdate: func(what string, err error) {
			if what == "revocations" && err != nil {
				failed <- time.Now()
			}
		},
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		select {
		case at := <-failed:
			t.Logf("attempt %d ends after %s", i+1, at.Sub(begun))
			begun = at
		case <-time.After(8 * time.Second): // other limits of a request are 10 s and more
			t.Fatalf("attempt %d has not ended after %s", i+1, time.Since(begun))
		}
	}
}
