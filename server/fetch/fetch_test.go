package fetch_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/server/fetch"
)

func TestLimitsOfADocument(t *testing.T) {
	t.Parallel()
	var stolen bool
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/stolen", http.StatusFound) })
	mux.HandleFunc("/stolen", func(http.ResponseWriter, *http.Request) { stolen = true })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20+1)) })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := fetch.New(roots)
	if got, err := client.Get(t.Context(), server.URL+"/good"); err != nil || string(got) != "{}" {
		t.Errorf("a good document: %q, %v", got, err)
	}
	for path, want := range map[string]string{
		"/moved": "status 302", "/huge": "larger than", "/stream": "larger than", "/slow": "deadline", "/missing": "status 404",
	} {
		ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
		if path != "/slow" {
			ctx = t.Context()
		}
		if got, err := client.Get(ctx, server.URL+path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d bytes, %v, want %q", path, len(got), err, want)
		}
		stop()
	}
	if stolen {
		t.Error("a redirection was followed")
	}
	if _, err := fetch.New(nil).Get(t.Context(), server.URL+"/good"); err == nil {
		t.Error("a certificate of another authority is trusted")
	}
}
