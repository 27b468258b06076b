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

// noAddress is the address of a server that is not wanted.
const noAddress = "0"

// metricsHandler answers /metrics with what this service measures and what the Kubernetes libraries measure in the whole
// process, and /debug/pprof with --pprof.
func (c *App) metricsHandler() http.Handler {
	gatherers := prometheus.Gatherers{c.registry, metrics.Registry}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	if c.options.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// metricsServer returns a server on a listener, none without one.
func (c *App) metricsServer(listener net.Listener, handler http.Handler) []manager.Runnable {
	if listener == nil {
		return nil
	}
	return []manager.Runnable{&manager.Server{Name: "metrics", Server: server.NewHTTP(handler), Listener: listener}}
}

// clusterMetrics serves metrics and profiles to those whom the cluster allows to read them. The certificate is that of the
// token server; where that serves plain HTTP, one of a CA that no one knows.
func (c *App) clusterMetrics(mgr manager.Manager, cert certificate) ([]manager.Runnable, error) {
	if c.metrics == nil {
		return nil, nil
	}
	filter, err := filters.WithAuthenticationAndAuthorization(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("ask the cluster who may read metrics: %w", err)
	}
	handler, err := filter(logr.FromSlogHandler(c.log.Handler()), c.metricsHandler())
	if err != nil {
		return nil, fmt.Errorf("guard the metrics: %w", err)
	}
	if cert.get == nil {
		if cert, err = c.throwawayCertificate(); err != nil {
			return nil, fmt.Errorf("make a certificate for the metrics: %w", err)
		}
	}
	return c.metricsServer(tls.NewListener(c.metrics, tlsConfig(cert)), handler), nil
}

// throwawayCertificate is from a CA that ends with the process.
func (c *App) throwawayCertificate() (certificate, error) {
	ca, err := authority.Authority{}.Advance(c.now())
	if err != nil {
		return certificate{}, err
	}
	own := authority.NewSource(localNames(c.options), c.now)
	return certificate{get: own.GetCertificate, ends: own.NotAfter}, own.Use(ca)
}
