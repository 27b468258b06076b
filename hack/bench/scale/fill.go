package scale

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

// writers is how many objects are created at once; with more, the API server only queues them.
const writers = 16

// filledCopy returns the folder, in scratch, of a copy of an etcd that holds the dataset. The
// original stays in the cache; filledCopy fills it first if it is not there.
func filledCopy(ctx context.Context, s *settings, d dataset, scratch string) (string, error) {
	kept := filepath.Join(s.cache, filepath.Base(s.assets), d.String())
	if _, err := os.Stat(kept); err != nil {
		if err := fill(ctx, s, d, kept); err != nil {
			return "", fmt.Errorf("fill an etcd: %w", err)
		}
	}
	data := filepath.Join(scratch, "etcd")
	return data, os.CopyFS(data, os.DirFS(kept))
}

// fill creates the objects through the API, runs the service on them once, so that later runs find
// its keys and its CA, and keeps the etcd. It keeps nothing if it is interrupted.
func fill(ctx context.Context, s *settings, d dataset, kept string) (err error) {
	logProgress("filling an etcd with %d users, %s, to be kept in %s", d.users, d.layout, kept)
	begun := time.Now()
	scratch := kept + ".part"
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(filepath.Join(scratch, "etcd"), 0o700)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	data := filepath.Join(scratch, "etcd")
	if err := withCluster(s, data, scratch, false, func(c *cluster) error { return c.createAll(ctx, d) }); err != nil {
		return err
	}
	err = withCluster(s, data, scratch, true, func(c *cluster) error {
		if err := c.warm(ctx, d); err != nil {
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
	logProgress("filled in %s", time.Since(begun).Round(time.Second))
	return os.Rename(data, kept)
}

// withCluster starts an API server on the folder data of etcd, runs f, and stops the API server.
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

// createAll creates namespaces, Tenants, Secrets and Users.
func (c *cluster) createAll(ctx context.Context, d dataset) error {
	names := []string{usersNamespace, serviceNamespace}
	for n := range d.tenants() {
		names = append(names, d.tenant(n).Name)
	}
	err := c.create(ctx, len(names), func(n int) client.Object {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: names[n]}}
	})
	if err != nil {
		return err
	}
	if err := c.create(ctx, d.tenants(), func(n int) client.Object { return d.tenant(n) }); err != nil {
		return err
	}
	secrets := d.firsts()
	if err := c.create(ctx, len(secrets), func(n int) client.Object { return d.secret(secrets[n]) }); err != nil {
		return err
	}
	return c.create(ctx, d.users, func(n int) client.Object { return d.user(n) })
}

// create creates n objects.
func (c *cluster) create(ctx context.Context, n int, object func(int) client.Object) error {
	const step = 20000
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		if i > 0 && i%step == 0 {
			logProgress("%d of %d objects", i, n)
		}
		group.Go(func() error { return c.createOne(ctx, object(i)) })
	}
	return group.Wait()
}

// createOne tries again while the API server is too busy, as it may be on a machine with other
// work.
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

func logProgress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
