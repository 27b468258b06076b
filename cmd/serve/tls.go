package serve

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/controllers"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

// certificate is what the HTTPS server shows. The zero value is for plain HTTP.
type certificate struct {
	get  func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	ends func() time.Time
}

// clusterCertificate is the mounted one, or one of the CA that all replicas share.
func (c *App) clusterCertificate(mgr manager.Manager, namespace string) (certificate, error) {
	o := c.options
	if o.AllowHTTP {
		return certificate{}, nil
	}
	if o.TLSCertDir != "" {
		watcher, cert, err := mountedCertificate(o)
		if err != nil {
			return certificate{}, err
		}
		return cert, mgr.Add(watcher)
	}
	service := "gatehouse." + namespace
	own := authority.NewSource(append(localNames(o), "gatehouse", service, service+".svc", service+".svc.cluster.local"), c.now)
	reconciler := &controllers.AuthorityReconciler{Namespace: namespace, Publish: o.Namespaces, Source: own, Now: c.now}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return certificate{}, fmt.Errorf("set up the CA: %w", err)
	}
	return certificate{get: own.GetCertificate, ends: own.NotAfter}, nil
}

// folderCertificate is the mounted one, or one of the CA in the state folder.
func (c *App) folderCertificate(ctx context.Context) (certificate, manager.Runnable, error) {
	o := c.options
	if o.AllowHTTP {
		return certificate{}, nil, nil
	}
	if o.TLSCertDir != "" {
		watcher, cert, err := mountedCertificate(o)
		return cert, watcher, err
	}
	own := authority.NewSource(localNames(o), c.now)
	ca, upkeep := standalone.NewCA(o.StateDir, own, c.log, c.now)
	if err := ca.Sync(ctx); err != nil {
		return certificate{}, nil, fmt.Errorf("read the CA: %w: restore ca.json from a backup, or remove it to have a new CA made", err)
	}
	return certificate{get: own.GetCertificate, ends: own.NotAfter}, upkeep, nil
}

// mountedCertificate serves the certificate in --tls-cert-dir. The watcher must be started; it reads the files anew when they
// change.
func mountedCertificate(o *Options) (*certwatcher.CertWatcher, certificate, error) {
	watcher, err := certwatcher.New(filepath.Join(o.TLSCertDir, "tls.crt"), filepath.Join(o.TLSCertDir, "tls.key"))
	if err != nil {
		return nil, certificate{}, fmt.Errorf("--tls-cert-dir: %w", err)
	}
	ends := func() time.Time {
		cert, err := watcher.GetCertificate(nil)
		if err != nil || cert.Leaf == nil {
			return time.Time{}
		}
		return cert.Leaf.NotAfter
	}
	return watcher, certificate{get: watcher.GetCertificate, ends: ends}, nil
}

// localNames are the names under which the server is reached on its own machine, and the issuer's.
func localNames(o *Options) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if u, err := url.Parse(o.IssuerURL); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	return names
}

// tlsConfig is that of every server.
func tlsConfig(cert certificate) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: cert.get,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}
