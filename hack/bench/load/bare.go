package load

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/server"
)

// BareCommand is the subcommand that runs ServeBare.
const BareCommand = "bare"

// ServeBare answers every request with as many bytes as its path asks for, on the same HTTP server,
// with the same limits and certificate as the service: the least work that any service written in
// Go with net/http can do. It serves until ctx ends.
func ServeBare(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench "+BareCommand, flag.ContinueOnError)
	address := flags.String("address", "", "address to listen at")
	certDir := flags.String("tls-cert-dir", "", "folder of tls.crt and tls.key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(*certDir, "tls.crt"), filepath.Join(*certDir, "tls.key"))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *address) //nolint:noctx // nothing to cancel
	if err != nil {
		return err
	}
	k, err := newKernels()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/bare/{size}", answerBare(func() {}))
	mux.HandleFunc("/bare/{size}/"+signKernel, answerBare(k.sign))
	mux.HandleFunc("/bare/{size}/"+checkKernel, answerBare(k.check))
	mux.HandleFunc("/bare/{size}/"+assertKernel, answerBare(k.assert))
	bare := server.NewHTTP(mux)
	defer context.AfterFunc(ctx, func() { _ = bare.Close() })()
	err = bare.Serve(tls.NewListener(listener, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil },
		NextProtos:     []string{"h2", "http/1.1"},
	}))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// answerBare returns a handler that runs kernel before it answers.
func answerBare(kernel func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(r.PathValue("size"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		kernel()
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Header()["Content-Length"] = []string{strconv.Itoa(size)}
		_, _ = w.Write(make([]byte, size)) // the client is gone when this fails
	}
}
