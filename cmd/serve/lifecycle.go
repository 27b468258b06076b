package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// drainContext returns a context that ends a delay after ctx. During the delay, readiness fails and
// every response closes its connection, but the service still accepts requests: it takes some
// seconds until load balancers send no more clients here.
func (a *App) drainContext(ctx context.Context, delay time.Duration) context.Context {
	delayed, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		a.log.Info("draining", "delay", delay.String())
		a.drain.Begin()
		time.AfterFunc(delay, cancel)
	})
	return delayed
}

// startWithGrace runs start, and returns an error if it does not return within a grace period after
// ctx has ended. A manager that still waits for its first list from the API server does not stop by
// itself.
func startWithGrace(ctx context.Context, grace time.Duration, start func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- start(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return fmt.Errorf("shutdown did not finish within %s", grace)
	}
}

// runAll runs servers and the sources they read from until ctx ends or one of them returns. It
// stops the sources after all servers have returned, because a request in flight may still need
// them.
func runAll(ctx context.Context, sources, servers []manager.Runnable) error {
	ctx, stopServers := context.WithCancel(ctx)
	defer stopServers()
	sourcesCtx, stopSources := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSources()

	var sourceGroup, serverGroup errgroup.Group
	for _, r := range sources {
		sourceGroup.Go(func() error { defer stopServers(); return r.Start(sourcesCtx) })
	}
	for _, r := range servers {
		serverGroup.Go(func() error { defer stopServers(); return r.Start(ctx) })
	}
	err := serverGroup.Wait()
	stopSources()
	return errors.Join(err, sourceGroup.Wait())
}
