package main

import (
	"crypto/tls"
	"flag"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/server"
)

// bareCommand is the first argument of the process that is the limit of the others.
const bareCommand = "bare"

// serveBare answers every request with as many bytes as its path says, on the same server, with the same limits and
// certificate as the service: the least that any service written in Go with net/http can take.
func serveBare(args []string) error {
	flags := flag.NewFlagSet(bareCommand, flag.ExitOnError)
	address := flags.String("address", "", "")
	certDir := flags.String("tls-cert-dir", "", "")
	_ = flags.Parse(args) // it exits by itself
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
	return server.NewHTTP(mux).Serve(tls.NewListener(listener, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil },
		NextProtos:     []string{"h2", "http/1.1"},
	}))
}

// answerBare computes what it is told to before it answers.
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
