// Package serve runs the service: it connects a source of users, which is a cluster or a folder of
// manifests, to the HTTP server.
//
// A process runs a service among others on a folder and free ports like this:
//
//	o := serve.NewOptions()
//	o.Manifests, o.PrintCurl = "users/", ""
//	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress = "127.0.0.1:0", "127.0.0.1:0", "0"
//	if err := o.Validate(); err != nil {
//		return err
//	}
//	app, err := serve.New(o, log)
//	if err != nil {
//		return err
//	}
//	log.Info("serving", "address", app.Address())
//	return app.Run(ctx)
package serve

import (
	"context"
	"os"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gatehouse-auth/gatehouse/internal/logging"
)

// Run serves until ctx ends and the last request has been answered, with options that passed
// Validate. It logs to standard error. It is for a process that does nothing else: it also sets the
// logger of the Kubernetes libraries and tunes the garbage collector, both of which belong to the
// whole process. Use New and App.Run for a service among others.
func Run(ctx context.Context, o *Options) error {
	log, writer, err := logging.New(os.Stderr, o.LogFormat, o.LogLevel)
	if err != nil {
		return err
	}
	defer func() { _ = writer.Close() }() // there is nowhere to report that the log cannot be written
	ctrl.SetLogger(logr.FromSlogHandler(logging.Demote(log.Handler(), routine)))
	limitMemory(log)
	go tuneGC(ctx)
	app, err := New(o, log)
	if err != nil {
		return err
	}
	app.logs["the log"] = writer
	return app.Run(ctx)
}
