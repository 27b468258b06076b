package controllers

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// replica starts a manager with all controllers, with the rights of config/rbac/role.yaml and no others, and returns the
// directory that they fill. It stops with the test.
func replica(w *apitest.World) *directory.Directory {
	w.T.Helper()
	options := ctrl.Options{
		Scheme:     apitest.Scheme(w.T),
		Cache:      informer.CacheOptions([]string{w.NS}),
		Client:     informer.ClientOptions(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	}
	mgr, err := ctrl.NewManager(w.Restricted(), options)
	if err != nil {
		w.T.Fatal(err)
	}
	d := directory.New()
	cfg := Config{Directory: d, Keyer: password.NewKeyer(), Now: time.Now, Namespaces: []string{w.NS}}
	if err := Setup(w.T.Context(), mgr, cfg); err != nil {
		w.T.Fatal(err)
	}
	w.Run("the manager", mgr.Start)
	w.Eventually("the directory is synced", d.HasSynced)
	return d
}

// letQueuesEmpty waits until nothing is left in a queue for what has happened so far: nothing waits there for longer than spread, and
// a write made then can bring its user back once more.
func letQueuesEmpty() { time.Sleep(3 * informer.WriteJitter) }
