package serve

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/server"
)

// newProbeServer returns a server of /healthz, which succeeds while the process lives, /readyz, which
// succeeds while the service can answer requests and is not draining, and /statusz, which describes
// this replica. Anyone who reaches the port may read them, so they hold nothing that a client of the
// service cannot learn.
func (a *App) newProbeServer(cert certificate) *manager.Server {
	mux := http.NewServeMux()
	mux.Handle("/healthz", healthz.CheckHandler{Checker: healthz.Ping})
	mux.Handle("/readyz", healthz.CheckHandler{Checker: func(*http.Request) error { return a.ready(cert) }})
	mux.HandleFunc("GET /statusz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a.status(cert)) // the client has gone
	})
	return &manager.Server{Name: "probes", Server: server.NewHTTP(mux), Listener: a.probes}
}

// ready returns an error that says why the service should not get requests, or nil if it should.
func (a *App) ready(cert certificate) error {
	switch {
	case a.drain.Begun():
		return errors.New("shutting down")
	case !a.directory.HasSynced():
		return errors.New("users are not loaded yet")
	case a.directory.Stale(a.now()):
		return errors.New("no sign of life of the API server for longer than --maximum-staleness")
	case !a.keys.Ready(a.now()):
		return errors.New("no key can issue tokens yet")
	case cert.ends != nil && cert.ends().IsZero():
		return errors.New("no TLS certificate yet")
	}
	return a.checkLogs()
}

// replicaStatus describes this replica to kubectl gatehouse status.
type replicaStatus struct {
	Version         string     `json:"version"`
	NotReady        string     `json:"notReady,omitempty"` // why not; empty if the replica is ready
	LastUpdate      *time.Time `json:"lastUpdate,omitempty"`
	CertificateEnds *time.Time `json:"certificateEnds,omitempty"`
}

func (a *App) status(cert certificate) replicaStatus {
	s := replicaStatus{Version: a.options.Version}
	if err := a.ready(cert); err != nil {
		s.NotReady = err.Error()
	}
	if at := a.directory.LastEvent(); !at.IsZero() {
		s.LastUpdate = &at
	}
	if cert.ends == nil {
		return s
	}
	if at := cert.ends(); !at.IsZero() {
		s.CertificateEnds = &at
	}
	return s
}
