package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// stopping returns a context that ends a while after ctx. In that while readiness is gone and every answer closes its
// connection, but requests are still taken: it takes some seconds until no client is sent here any more.
func (c *App) stopping(ctx context.Context, delay time.Duration) context.Context {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		c.log.Info("draining", "delay", delay.String())
		c.drain.Begin()
		time.AfterFunc(delay, cancel)
	})
	return later
}

// endWithin runs start, and gives it up a while after the context has ended. A manager whose first lists the API server has not
// answered does not end by itself.
func endWithin(ctx context.Context, grace time.Duration, start func(context.Context) error) error {
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
		return fmt.Errorf("not everything has ended %s after it was told to", grace)
	}
}

// runAll runs what serves on top of what feeds it until ctx ends or one of them ends. What serves has ended before what
// feeds it is told to: a request in flight may still need it.
func runAll(ctx context.Context, feeding, serving []manager.Runnable) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	feedCtx, endFeeding := context.WithCancel(context.WithoutCancel(ctx))
	defer endFeeding()

	var feed, serve errgroup.Group
	for _, r := range feeding {
		feed.Go(func() error { defer end(); return r.Start(feedCtx) })
	}
	for _, r := range serving {
		serve.Go(func() error { defer end(); return r.Start(ctx) })
	}
	err := serve.Wait()
	endFeeding()
	return errors.Join(err, feed.Wait())
}
