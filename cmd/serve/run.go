// Package serve is what one process of the service is made of: its options, its source of users, its listeners and its end.
package serve

import (
	"context"
	"os"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gatehouse-auth/gatehouse/internal/logging"
)

// Run serves until ctx ends and the last request has been answered. The process should do nothing else meanwhile: run sets the
// logger of the Kubernetes libraries and tunes the garbage collector, which are there once in a process. Use New for a
// service among others.
func Run(ctx context.Context, o *Options) error {
	log, flush, err := logging.New(os.Stderr, o.LogFormat, o.LogLevel)
	if err != nil {
		return err
	}
	defer flush()
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	go tuneGC(ctx)
	c, err := New(o, log)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}
