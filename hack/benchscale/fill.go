package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// writers is how many objects are made at once; with more, the API server only queues them.
const writers = 16

// filled returns a copy of an etcd that holds the world, in scratch. The original is kept in the cache and filled first
// where there is none.
func filled(ctx context.Context, s *settings, w world, scratch string) (string, error) {
	kept := filepath.Join(s.cache, filepath.Base(s.assets), w.String())
	if _, err := os.Stat(kept); err != nil {
		if err := fill(ctx, s, w, kept); err != nil {
			return "", fmt.Errorf("fill an etcd: %w", err)
		}
	}
	data := filepath.Join(scratch, "etcd")
	return data, os.CopyFS(data, os.DirFS(kept))
}

// fill makes the objects through the API, runs the service on them once, so that it finds its keys and its CA, and keeps the
// etcd. What was interrupted is not kept.
func fill(ctx context.Context, s *settings, w world, kept string) (err error) {
	progress("filling an etcd with %d users, %s; it is kept in %s", w.users, w.layout, kept)
	begun := time.Now()
	scratch := kept + ".part"
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(filepath.Join(scratch, "etcd"), 0o700)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	data := filepath.Join(scratch, "etcd")
	if err := withCluster(s, data, scratch, false, func(c *cluster) error { return c.make(ctx, w) }); err != nil {
		return err
	}
	err = withCluster(s, data, scratch, true, func(c *cluster) error {
		if err := c.warm(ctx, w); err != nil {
			return err
		}
		p, _, err := startService(ctx, s, c, scratch)
		if err != nil {
			return err
		}
		return p.stop()
	})
	if err != nil {
		return err
	}
	progress("filled in %s", time.Since(begun).Round(time.Second))
	return os.Rename(data, kept)
}

// withCluster runs f against an API server that stops afterwards.
func withCluster(s *settings, data, scratch string, statusApart bool, f func(*cluster) error) error {
	crds, err := definitions(statusApart)
	if err != nil {
		return err
	}
	c, err := startCluster(s, data, scratch, crds)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.stop())
}

// make creates namespaces, Secrets and Users.
func (c *cluster) make(ctx context.Context, w world) error {
	for _, name := range []string{usersNamespace, serviceNamespace} {
		if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	secrets := w.firsts()
	if err := c.create(ctx, len(secrets), func(n int) client.Object { return w.secret(secrets[n]) }); err != nil {
		return err
	}
	return c.create(ctx, w.users, func(n int) client.Object { return w.user(n) })
}

func (c *cluster) create(ctx context.Context, n int, object func(int) client.Object) error {
	const step = 20000
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		if i > 0 && i%step == 0 {
			progress("%d of %d objects", i, n)
		}
		group.Go(func() error { return c.createOne(ctx, object(i)) })
	}
	return group.Wait()
}

// createOne tries again while the API server is too busy, which on a machine with other work it may be.
func (c *cluster) createOne(ctx context.Context, o client.Object) error {
	const attempts = 10
	var err error
	for n := range attempts {
		err = c.Create(ctx, o)
		if n > 0 && apierrors.IsAlreadyExists(err) {
			return nil
		}
		if err == nil || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
	return err
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
