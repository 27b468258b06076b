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

// App is one service. It holds what its source of users writes and its server reads. A process can
// run several: each has listeners, a logger and a metrics registry of its own. Create an App with
// New and call Run once.
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
	metrics   net.Listener // nil if metrics are not served
	now       func() time.Time
}

// New returns a service with options that passed Validate, and opens all of its listeners. A port
// that is taken is thus an error before anything is written, and Address is known before Run. The
// service logs to log, including an audit event for each login. Call Close if Run is not called.
func New(o *Options, log *slog.Logger) (*App, error) {
	a := &App{
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
		{"--bind-address", o.BindAddress, &a.listener},
		{"--health-probe-bind-address", o.HealthProbeBindAddress, &a.probes},
		{"--metrics-bind-address", o.MetricsBindAddress, &a.metrics},
	} {
		if l.address == noAddress {
			continue
		}
		var err error
		if *l.listener, err = net.Listen("tcp", l.address); err != nil { //nolint:noctx // nothing to cancel
			a.Close()
			return nil, fmt.Errorf("%s: %w; choose another address with %s", l.flag, err, l.flag)
		}
	}
	return a, nil
}

// Close closes the listeners of a service that is not going to Run.
func (a *App) Close() {
	for _, l := range []net.Listener{a.listener, a.probes, a.metrics} {
		if l != nil {
			_ = l.Close() // nothing was sent
		}
	}
}

// Address returns the address on which the service accepts connections: HTTPS, or HTTP with
// Options.AllowHTTP. With port 0 in Options.BindAddress it has the port that was assigned.
func (a *App) Address() net.Addr { return a.listener.Addr() }

// Run serves until ctx ends, and returns once the last request has been answered and everything is
// written. It closes the listeners. It returns an error if the service cannot start or stops early.
func (a *App) Run(ctx context.Context) error {
	defer a.Close() // which the servers have done already, if they were started
	if a.options.Manifests != "" {
		return a.serveStandalone(ctx)
	}
	return a.serveCluster(ctx)
}
