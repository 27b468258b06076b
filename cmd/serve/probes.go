package serve

import (
	"errors"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/server"
)

// newProbeServer returns a server of /healthz, which succeeds while the process lives, and /readyz,
// which succeeds while the service can answer requests and is not draining.
func (a *App) newProbeServer(cert certificate) *manager.Server {
	mux := http.NewServeMux()
	mux.Handle("/healthz", healthz.CheckHandler{Checker: healthz.Ping})
	mux.Handle("/readyz", healthz.CheckHandler{Checker: func(*http.Request) error { return a.ready(cert) }})
	return &manager.Server{Name: "probes", Server: server.NewHTTP(mux), Listener: a.probes}
}

// ready returns an error that says why the service should not get requests, or nil if it should.
func (a *App) ready(cert certificate) error {
	switch {
	case a.drain.Begun():
		return errors.New("shutting down")
	case !a.directory.HasSynced():
		return errors.New("users are not loaded yet")
	case !a.keys.Ready(a.now()):
		return errors.New("no key can issue tokens yet")
	case cert.ends != nil && cert.ends().IsZero():
		return errors.New("no TLS certificate yet")
	}
	return a.checkLogs()
}
