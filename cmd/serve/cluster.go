package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/record"
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
func (c *App) serveCluster(ctx context.Context) error {
	o, namespace := c.options, ownNamespace()
	o.settle("https://gatehouse." + namespace + ".svc")
	mgr, err := newManager(o, c.log)
	if err != nil {
		return err
	}
	config := controllers.Config{Directory: c.directory, Keyer: c.keyer, Now: c.now, Namespaces: o.Namespaces}
	if err := controllers.Setup(ctx, mgr, config); err != nil {
		return err
	}
	keys := &controllers.KeysReconciler{Namespace: namespace, Keys: c.keys, Policy: o.keyPolicy(), Now: c.now}
	if err := keys.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the keys: %w", err)
	}
	cert, err := c.clusterCertificate(mgr, namespace)
	if err != nil {
		return err
	}
	web, logins := c.newService(source{
		records: &record.Tokens{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Directory: c.directory, Now: c.now,
		},
		logins:      &record.Logins{Client: mgr.GetClient(), Reader: mgr.GetAPIReader()},
		certificate: cert,
	})
	metrics, err := c.clusterMetrics(mgr, cert)
	if err != nil {
		return err
	}
	for _, r := range append(metrics, web, c.newProbeServer(cert), logins) {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("add a server: %w", err)
		}
	}
	c.log.Info("starting", "version", o.Version, "issuer", o.IssuerURL, "namespaces", o.Namespaces)
	return endWithin(c.stopping(ctx, o.DrainDelay), shutdownGrace+time.Second, mgr.Start)
}

func newManager(o *Options, log *slog.Logger) (manager.Manager, error) {
	connection, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to serve: %w; outside of one, give --manifests DIR", err)
	}
	connection.QPS, connection.Burst = callsPerSecond, callsAtOnce
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil { // no others are read or written, and all of them take megabytes
		return nil, fmt.Errorf("register the types of Kubernetes: %w", err)
	}
	if err := authv1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register the types of Gatehouse: %w", err)
	}
	grace := shutdownGrace
	mgr, err := manager.New(connection, manager.Options{
		Scheme:                  scheme,
		MapperProvider:          newRESTMapper,
		Cache:                   informer.CacheOptions(o.Namespaces),
		Client:                  informer.ClientOptions(),
		Logger:                  logr.FromSlogHandler(log.Handler()),
		Metrics:                 metricsserver.Options{BindAddress: noAddress},    // its own server, with metrics of its own
		Controller:              config.Controller{SkipNameValidation: new(true)}, // names are unique in a manager, not in a process
		HealthProbeBindAddress:  noAddress,                                        // its own server, which lives until the last request has ended
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
