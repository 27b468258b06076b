package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers"
	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

// The calls to the API server that one replica may make: client-go's own limit of 5 a second would hold up status for
// hours at 100,000 users.
const (
	callsPerSecond = 50
	callsAtOnce    = 100
)

// shutdownGrace is how long everything may take to end after the last request has been taken. Together with --drain-delay it is
// well below the Pod's terminationGracePeriodSeconds.
const shutdownGrace = drainTimeout + 5*time.Second

// serveCluster runs the service on the Users of a cluster.
func serveCluster(ctx context.Context, o *options, c *core) error {
	namespace := ownNamespace()
	o.settle("https://gatehouse." + namespace + ".svc")
	var cert certificate // known once there is a manager, and used once that has started
	mgr, err := newManager(o, func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.get(hello) })
	if err != nil {
		return err
	}
	config := controllers.Config{Directory: c.directory, Keyer: c.keyer, Now: c.now, Namespaces: o.namespaces}
	if err := controllers.Setup(ctx, mgr, config); err != nil {
		return err
	}
	keys := &controllers.KeysReconciler{Namespace: namespace, Keys: c.keys, Policy: o.keyPolicy(), Now: c.now}
	if err := keys.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the keys: %w", err)
	}
	cert, err = clusterCertificate(o, c, mgr, namespace)
	if err != nil {
		return err
	}
	web, notes := newService(o, c, source{
		records: &controllers.TokenRecords{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Directory: c.directory, Now: c.now,
		},
		notes:       &controllers.StatusLedger{Client: mgr.GetClient(), Reader: mgr.GetAPIReader()},
		certificate: cert,
	})
	probes, err := newProbeServer(o, c, cert)
	if err != nil {
		return err
	}
	for _, r := range []manager.Runnable{web, probes, notes} {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("add a server: %w", err)
		}
	}
	c.log.Info("starting", "version", version, "issuer", o.issuerURL, "namespaces", o.namespaces)
	return endWithin(c.stopping(ctx, o.drainDelay), shutdownGrace+time.Second, mgr.Start)
}

// getCertificate is how tls.Config asks for a certificate.
type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

func newManager(o *options, cert getCertificate) (manager.Manager, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to serve: %w; outside of one, give --manifests DIR", err)
	}
	config.QPS, config.Burst = callsPerSecond, callsAtOnce
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil { // no others are read or written, and all of them take megabytes
		return nil, fmt.Errorf("register the types of Kubernetes: %w", err)
	}
	if err := authv1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register the types of Gatehouse: %w", err)
	}
	grace := shutdownGrace
	mgr, err := manager.New(config, manager.Options{
		Scheme:                  scheme,
		MapperProvider:          newRESTMapper,
		Cache:                   controllers.CacheOptions(o.namespaces),
		Client:                  controllers.ClientOptions(),
		Metrics:                 metricsOptions(o, cert),
		HealthProbeBindAddress:  "0", // its own server, which lives until the last request has ended
		GracefulShutdownTimeout: &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return mgr, nil
}

// newRESTMapper knows what the few kinds that are read and written here are called in the API. Asking the API server for all
// of its groups costs a start, and searching them costs every read of the cache.
func newRESTMapper(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion, authv1alpha1.GroupVersion})
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
	mapper.Add(authv1alpha1.GroupVersion.WithKind("User"), meta.RESTScopeNamespace)
	mapper.Add(authv1alpha1.GroupVersion.WithKind("Token"), meta.RESTScopeNamespace)
	return mapper, nil
}

// metricsOptions lets only those read metrics and profiles whom the cluster allows to. The certificate is that of the tokens'
// server; where that serves plain HTTP, one that nobody can check.
func metricsOptions(o *options, cert getCertificate) metricsserver.Options {
	return metricsserver.Options{
		BindAddress:    o.metricsAddr,
		SecureServing:  true,
		FilterProvider: filters.WithAuthenticationAndAuthorization,
		ExtraHandlers:  profiles(o),
		TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.MinVersion = tls.VersionTLS12
			if !o.allowHTTP {
				c.GetCertificate = cert
			}
		}},
	}
}

func profiles(o *options) map[string]http.Handler {
	if !o.pprof {
		return nil
	}
	return map[string]http.Handler{
		"/debug/pprof/":        http.HandlerFunc(pprof.Index),
		"/debug/pprof/profile": http.HandlerFunc(pprof.Profile),
		"/debug/pprof/symbol":  http.HandlerFunc(pprof.Symbol),
		"/debug/pprof/trace":   http.HandlerFunc(pprof.Trace),
	}
}

// clusterCertificate is the mounted one, or one of the CA that all replicas share.
func clusterCertificate(o *options, c *core, mgr manager.Manager, namespace string) (certificate, error) {
	if o.allowHTTP {
		return certificate{}, nil
	}
	if o.tlsCertDir != "" {
		watcher, cert, err := mountedCertificate(o)
		if err != nil {
			return certificate{}, err
		}
		return cert, mgr.Add(watcher)
	}
	service := "gatehouse." + namespace
	own := authority.NewSource(append(localNames(o), "gatehouse", service, service+".svc", service+".svc.cluster.local"), c.now)
	reconciler := &controllers.AuthorityReconciler{Namespace: namespace, Publish: o.namespaces, Source: own, Now: c.now}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return certificate{}, fmt.Errorf("set up the CA: %w", err)
	}
	return certificate{get: own.GetCertificate, ends: own.NotAfter}, nil
}

// localNames are the names under which the server is reached on its own machine, and the issuer's.
func localNames(o *options) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if u, err := url.Parse(o.issuerURL); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	return names
}

// ownNamespace is the namespace that the Pod runs in.
func ownNamespace() string {
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		return namespace
	}
	const file = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	if raw, err := os.ReadFile(file); err == nil && len(raw) > 0 {
		return strings.TrimSpace(string(raw))
	}
	return "gatehouse-system"
}
