package serve

import (
	"errors"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/server"
)

// newProbeServer answers /healthz as long as the process lives, and /readyz while it has everything to answer with and is
// not about to end.
func (c *App) newProbeServer(cert certificate) *manager.Server {
	mux := http.NewServeMux()
	mux.Handle("/healthz", healthz.CheckHandler{Checker: healthz.Ping})
	mux.Handle("/readyz", healthz.CheckHandler{Checker: func(*http.Request) error { return c.ready(cert) }})
	return &manager.Server{Name: "probes", Server: server.NewHTTP(mux), Listener: c.probes}
}

// ready says why requests should not be sent here, if so.
func (c *App) ready(cert certificate) error {
	switch {
	case c.drain.Begun():
		return errors.New("the process is about to end")
	case !c.directory.HasSynced():
		return errors.New("the directory does not hold every user yet")
	case !c.keys.Ready(c.now()):
		return errors.New("there are no keys to issue tokens with yet")
	case cert.ends != nil && cert.ends().IsZero():
		return errors.New("there is no certificate to serve yet")
	}
	return nil
}
