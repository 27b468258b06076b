package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/record"
	"github.com/gatehouse-auth/gatehouse/controllers/replica"
	"github.com/gatehouse-auth/gatehouse/controllers/system"
	"github.com/gatehouse-auth/gatehouse/internal/logging"
)

// The rate limit of calls to the API server by one replica. With client-go's default of 5 a second,
// writing the status of 100,000 users would take hours.
const (
	apiQPS   = 50
	apiBurst = 100
)

// shutdownGrace is how long everything may take to stop after the last request was accepted.
// Together with --drain-delay it is well below the Pod's terminationGracePeriodSeconds.
const shutdownGrace = drainTimeout + 5*time.Second

// serveCluster runs the service with the Users of a cluster.
func (a *App) serveCluster(ctx context.Context) error {
	o, namespace := a.options, ownNamespace()
	o.setIssuerDefaults("https://gatehouse." + namespace + ".svc")
	progress := delivery.NewProgress()
	mgr, err := a.newManager(namespace)
	if err != nil {
		return err
	}
	trusted, err := a.newIssuers()
	if err != nil {
		return err
	}
	if err := trusted.followCluster(mgr); err != nil {
		return err
	}
	replicas, err := replica.Setup(mgr, replica.Config{
		Namespace: namespace, Pod: ownName(), PodUID: types.UID(os.Getenv("POD_UID")), Now: a.now,
		Progress: progress, HasSynced: a.directory.HasSynced,
	})
	if err != nil {
		return err
	}
	followed, err := a.setupControllers(mgr, controllers.Config{
		System: namespace, Trusts: trusted.Trusts, OnTrustChange: trusted.OnChange, Progress: progress, Replicas: replicas,
	})
	if err != nil {
		return err
	}
	keys := &system.KeysReconciler{
		Namespace: namespace, Keys: a.keys, Policy: o.keyPolicy(), Now: a.now, UseDecoySecret: a.directory.UseDecoySecret,
	}
	if err := keys.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up the keys controller: %w", err)
	}
	cert, err := a.clusterCertificate(mgr, namespace, followed.OfTenants)
	if err != nil {
		return err
	}
	records, err := a.newRecords(mgr)
	if err != nil {
		return err
	}
	web, logins := a.newService(source{
		records:     records,
		logins:      &record.Logins{Client: mgr.GetClient(), Reader: mgr.GetAPIReader()},
		certificate: cert,
	})
	metrics, err := a.clusterMetrics(mgr, cert)
	if err != nil {
		return err
	}
	for _, r := range append(metrics, trusted, web, a.newProbeServer(cert), logins) {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("add a server: %w", err)
		}
	}
	a.log.Info("starting", "version", o.Version, "issuer", o.IssuerURL, "namespaces", o.Namespaces)
	defer replicas.Leave(context.WithoutCancel(ctx))
	return startWithGrace(a.drainContext(ctx, o.DrainDelay), shutdownGrace+time.Second, mgr.Start)
}

// setupControllers adds the controllers of users and Tenants, and their metrics. It completes their
// configuration with what the flags say.
func (a *App) setupControllers(mgr manager.Manager, cfg controllers.Config) (*controllers.Followed, error) {
	o := a.options
	a.directory.LimitStaleness(o.MaximumStaleness)
	cfg.Directory, cfg.Keyer, cfg.Now, cfg.HashMemory = a.directory, a.keyer, a.now, hashMemory()
	cfg.Namespaces, cfg.AdminGroups = o.Namespaces, o.AdminGroups
	followed, err := controllers.Setup(mgr, cfg)
	if err != nil {
		return nil, err
	}
	a.registry.MustRegister(informer.WatchMetrics(followed.Namespaces, followed.Tenants, a.now))
	return followed, nil
}

// newManager returns a manager. The directory hears of each sign of life of the API server.
func (a *App) newManager(namespace string) (manager.Manager, error) {
	connection, err := clusterConfig()
	if err != nil {
		return nil, err
	}
	connection.QPS, connection.Burst = apiQPS, apiBurst
	connection.Wrap(informer.SignsOfLife(func() { a.directory.Hear(a.now()) }))
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme} { // all groups take megabytes
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register Kubernetes types: %w", err)
		}
	}
	if err := authv1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register Gatehouse types: %w", err)
	}
	grace := shutdownGrace
	mgr, err := manager.New(connection, manager.Options{
		Scheme:                  scheme,
		MapperProvider:          newRESTMapper,
		Cache:                   informer.CacheOptions(namespace),
		Client:                  informer.ClientOptions(),
		Logger:                  logr.FromSlogHandler(logging.Demote(a.log.Handler(), routine)),
		Metrics:                 metricsserver.Options{BindAddress: noAddress},    // App serves metrics itself
		Controller:              config.Controller{SkipNameValidation: new(true)}, // names are unique per manager, not per process
		HealthProbeBindAddress:  noAddress,                                        // App serves probes itself, until the last request has ended
		GracefulShutdownTimeout: &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return mgr, nil
}

// newRecords returns the records of tokens. They have clients of their own, so that a record waits
// for no status of a user. The calls for revocations have no rate limit in this process: the number
// of those that run at once is bounded, and a limit on a client would make one user wait for
// another.
func (a *App) newRecords(mgr manager.Manager) (*record.Tokens, error) {
	newClient := func(qps float32, burst int) (client.Client, error) {
		connection := rest.CopyConfig(mgr.GetConfig())
		connection.QPS, connection.Burst, connection.RateLimiter = qps, burst, nil
		return client.New(connection, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	}
	creations, err := newClient(apiQPS, apiBurst)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster for token records: %w", err)
	}
	revocations, err := newClient(-1, 0)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster for revocations: %w", err)
	}
	return record.NewTokens(record.Config{
		Client: creations, Revocations: revocations, Directory: a.directory, Namespace: a.options.Namespaces[0], Now: a.now,
	}), nil
}

// clusterConfig returns how to reach the API server: as KUBECONFIG or ~/.kube/config says, else as the
// Pod does. The equivalent of controller-runtime logs an error on a machine without either, before it
// returns one.
func clusterConfig() (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("no cluster to serve: set KUBECONFIG, or serve a folder with --manifests DIR")
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return config, nil
}

// routine reports whether a message of the Kubernetes libraries is about the ordinary start or stop of
// one of their parts. A start logs dozens of them.
func routine(message string) bool {
	return strings.HasPrefix(message, "Starting ") || strings.HasPrefix(message, "Stopping and waiting for ") ||
		strings.HasPrefix(message, "All workers finished")
}

// newRESTMapper returns a static mapper for the few kinds that the service reads and writes. A
// mapper that discovers all API groups makes each start slower, and a search through them each read
// of the cache.
func newRESTMapper(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion, authv1alpha1.GroupVersion})
	for _, kind := range []schema.GroupVersionKind{
		corev1.SchemeGroupVersion.WithKind("Secret"), corev1.SchemeGroupVersion.WithKind("ConfigMap"),
		coordinationv1.SchemeGroupVersion.WithKind("Lease"),
		authv1alpha1.GroupVersion.WithKind("User"), authv1alpha1.GroupVersion.WithKind("Token"), authv1alpha1.GroupVersion.WithKind("Revocation"),
		authv1alpha1.GroupVersion.WithKind("Tenant"),
	} {
		mapper.Add(kind, meta.RESTScopeNamespace)
		mapper.Add(kind.GroupVersion().WithKind(kind.Kind+"List"), meta.RESTScopeNamespace) // the cache asks for it before it lists
	}
	return mapper, nil
}

// ownName returns the name of the Pod: POD_NAME, else the name of the host, which is the same in a Pod.
func ownName() string {
	name, _ := os.Hostname() // the other replicas then take this one for one without a name
	return cmp.Or(os.Getenv("POD_NAME"), name)
}

// ownNamespace returns the namespace of the Pod: POD_NAMESPACE, else that of its service account,
// else gatehouse-system.
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
