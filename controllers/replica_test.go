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

// replica starts a manager with all controllers, with the rights of config/rbac/role.yaml and no
// others, and returns the directory that they fill. It stops with the test.
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

// staysUnchanged checks that no replica writes to a User until the queues are empty: no item waits
// in a queue for longer than WriteJitter, and a write in that time can enqueue its user once more.
func staysUnchanged(w *apitest.World, name string) {
	w.T.Helper()
	version := w.ReadUser(name).ResourceVersion
	w.Consistently("no write to "+name, 3*informer.WriteJitter, func() bool {
		return w.ReadUser(name).ResourceVersion == version
	})
}
