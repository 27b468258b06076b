package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server"
)

// App is one service: what its source of users writes, and its server reads. Several can run in one process.
type App struct {
	options   *Options
	log       *slog.Logger
	directory *directory.Directory
	keys      *token.KeySet
	keyer     *password.Keyer
	registry  *prometheus.Registry
	drain     *server.Drain
	listener  net.Listener
	probes    net.Listener
	metrics   net.Listener // nil: none are served
	now       func() time.Time
}

// New opens every listener of the service, so that a port that is taken is known before anything is written or announced.
// The options must have been validated.
func New(o *Options, log *slog.Logger) (*App, error) {
	c := &App{
		options:   o,
		log:       log,
		directory: directory.New(),
		keys:      &token.KeySet{},
		keyer:     password.NewKeyer(),
		registry:  prometheus.NewRegistry(),
		drain:     &server.Drain{},
		now:       time.Now,
	}
	for _, l := range []struct {
		flag, address string
		listener      *net.Listener
	}{
		{"--bind-address", o.BindAddress, &c.listener},
		{"--health-probe-bind-address", o.HealthProbeBindAddress, &c.probes},
		{"--metrics-bind-address", o.MetricsBindAddress, &c.metrics},
	} {
		if l.address == noAddress {
			continue
		}
		var err error
		if *l.listener, err = net.Listen("tcp", l.address); err != nil { //nolint:noctx // nothing to cancel
			c.Close()
			return nil, fmt.Errorf("%s: %w; choose another address with %s", l.flag, err, l.flag)
		}
	}
	return c, nil
}

// Close gives back the listeners of a service that does not start.
func (c *App) Close() {
	for _, l := range []net.Listener{c.listener, c.probes, c.metrics} {
		if l != nil {
			_ = l.Close() // nothing was sent
		}
	}
}

// Address returns where the HTTPS server listens.
func (c *App) Address() net.Addr { return c.listener.Addr() }

// Run serves until ctx ends and the last request has been answered.
func (c *App) Run(ctx context.Context) error {
	if c.options.Manifests != "" {
		return c.serveStandalone(ctx)
	}
	return c.serveCluster(ctx)
}
