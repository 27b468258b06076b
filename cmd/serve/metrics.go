package serve

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/server"
)

// noAddress is the address that turns a server off.
const noAddress = "0"

// metricsHandler serves /metrics, with the metrics of this service and those of the Kubernetes
// libraries for the whole process, and /debug/pprof with --pprof.
func (a *App) metricsHandler() http.Handler {
	gatherers := prometheus.Gatherers{a.registry, metrics.Registry}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	if a.options.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// metricsServer returns a server for handler on listener, or no server if listener is nil.
func (a *App) metricsServer(listener net.Listener, handler http.Handler) []manager.Runnable {
	if listener == nil {
		return nil
	}
	return []manager.Runnable{&manager.Server{Name: "metrics", Server: server.NewHTTP(handler), Listener: listener}}
}

// clusterMetrics returns a server of metrics and profiles for clients that the cluster authorizes.
// It presents the same certificate as the service or, if that serves plain HTTP, a throwaway one.
func (a *App) clusterMetrics(mgr manager.Manager, cert certificate) ([]manager.Runnable, error) {
	if a.metrics == nil {
		return nil, nil
	}
	filter, err := filters.WithAuthenticationAndAuthorization(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("set up authorization for metrics: %w", err)
	}
	handler, err := filter(logr.FromSlogHandler(a.log.Handler()), a.metricsHandler())
	if err != nil {
		return nil, fmt.Errorf("set up authorization for metrics: %w", err)
	}
	if cert.get == nil {
		if cert, err = a.throwawayCertificate(); err != nil {
			return nil, fmt.Errorf("create a certificate for metrics: %w", err)
		}
	}
	return a.metricsServer(tls.NewListener(a.metrics, tlsConfig(cert)), handler), nil
}

// throwawayCertificate returns a certificate of a CA that exists in this process only.
func (a *App) throwawayCertificate() (certificate, error) {
	own := authority.NewSource(localNames(a.options), a.now)
	ca, err := authority.Authority{}.Advance(own.Names(), a.now())
	if err != nil {
		return certificate{}, err
	}
	return certificate{get: own.GetCertificate, ends: own.NotAfter}, own.Use(ca)
}
