package serve

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/controllers/system"
	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

// certificate is the certificate of an HTTPS server. The zero certificate stands for plain HTTP.
type certificate struct {
	get  func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	ends func() time.Time // returns the zero time while there is no certificate
}

// clusterCertificate returns the mounted certificate, or else one of the CA that all replicas
// share. It adds what keeps the certificate current to mgr. Tenants returns the namespaces of Tenants.
func (a *App) clusterCertificate(mgr manager.Manager, namespace string, tenants func() []string) (certificate, error) {
	o := a.options
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
	names := append(issuerNames(o), serviceNames("gatehouse", namespace)...)
	if deployment := deploymentOf(ownName()); deployment != "gatehouse" && deployment != "" {
		names = append(names, serviceNames(deployment, namespace)...)
	}
	own := authority.NewSource(names, a.now)
	reconciler := &system.AuthorityReconciler{Namespace: namespace, Publish: o.Namespaces, PublishAlso: tenants, Source: own, Now: a.now}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return certificate{}, fmt.Errorf("set up the CA controller: %w", err)
	}
	return certificate{get: own.GetCertificate, ends: own.NotAfter}, nil
}

// serviceNames returns the names by which clients in a cluster reach a Service.
func serviceNames(service, namespace string) []string {
	long := service + "." + namespace
	return []string{service, long, long + ".svc", long + ".svc.cluster.local"}
}

// deploymentOf returns the name of the Deployment that a Pod belongs to, or "" if its name is not of that
// form. The Service has the name of the Deployment, also if a prefix of kustomize has renamed both.
func deploymentOf(pod string) string {
	m := podOfDeployment.FindStringSubmatch(pod)
	if m == nil {
		return ""
	}
	return m[1]
}

// podOfDeployment matches DEPLOYMENT-TEMPLATE-POD. The last two parts consist of the letters and digits that
// Kubernetes takes for generated names.
var podOfDeployment = regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$`)

// folderCertificate returns the mounted certificate, or else one of the CA in the state folder. The
// caller must start the Runnable, which keeps the certificate current, unless it is nil.
func (a *App) folderCertificate(ctx context.Context) (certificate, manager.Runnable, error) {
	o := a.options
	if o.AllowHTTP {
		return certificate{}, nil, nil
	}
	if o.TLSCertDir != "" {
		watcher, cert, err := mountedCertificate(o)
		return cert, watcher, err
	}
	own := authority.NewSource(localNames(o), a.now)
	ca, upkeep := standalone.NewCA(o.StateDir, own, a.log, a.now)
	if err := ca.Sync(ctx); err != nil {
		return certificate{}, nil, fmt.Errorf("read the CA: %w: restore ca.json from a backup, or remove it to have a new CA created", err)
	}
	return certificate{get: own.GetCertificate, ends: own.NotAfter}, upkeep, nil
}

// mountedCertificate returns the certificate in --tls-cert-dir. The caller must start the watcher,
// which reads the files again when they change.
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

// localNames returns the names by which clients on this machine reach the service, its own name, and
// the host of the issuer URL.
func localNames(o *Options) []string {
	names := issuerNames(o)
	if host, err := os.Hostname(); err == nil && len(validation.IsDNS1123Subdomain(strings.ToLower(host))) == 0 {
		names = append(names, host)
	}
	return names
}

// issuerNames returns the names by which clients on this machine reach the service, and the host of the
// issuer URL. The CA that all replicas share may have no name of a Pod, because each Pod has another.
func issuerNames(o *Options) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if u, err := url.Parse(o.IssuerURL); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	return names
}

// tlsConfig returns the TLS configuration of a server with this certificate. With TLS 1.2 it takes
// only cipher suites with forward secrecy and authenticated encryption; those of TLS 1.3 all are.
func tlsConfig(cert certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: cert.get,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}
