package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/logging"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server"
)

// App is one service. It holds what its source of users writes and its server reads. A process can
// run several: each has listeners, a logger and a metrics registry of its own. Create an App with
// New and call Run once.
type App struct {
	options    *Options
	log        *slog.Logger
	directory  *directory.Directory
	keys       *token.KeySet
	assertions *assertion.Verifier
	keyer      *password.Keyer
	registry   *prometheus.Registry
	drain      *server.Drain
	listener   net.Listener
	probes     net.Listener
	metrics    net.Listener // nil if metrics are not served
	now        func() time.Time

	audit     *audit.Log
	auditFile *logging.File              // nil without --audit-log
	logs      map[string]*logging.Writer // by name: those that must work for the service to be ready
}

// New returns a service with options that passed Validate, and opens all of its listeners. A port
// that is taken is thus an error before anything is written, and Address is known before Run. The
// service logs to log, including an audit event for each login. Call Close if Run is not called.
func New(o *Options, log *slog.Logger) (*App, error) {
	a := &App{
		options:    o,
		log:        log,
		directory:  directory.New(),
		keys:       &token.KeySet{},
		assertions: &assertion.Verifier{},
		keyer:      password.NewKeyer(),
		registry:   prometheus.NewRegistry(),
		drain:      &server.Drain{},
		now:        time.Now,
		audit:      audit.NewLog(log),
		logs:       map[string]*logging.Writer{},
	}
	if err := a.openAuditLog(); err != nil {
		return nil, err
	}
	a.directory.ExpectDecoySecret() // which comes with the keys
	if err := a.listen(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// listen opens the listeners. The error lists all that cannot be opened.
func (a *App) listen() error {
	var errs []error
	for _, l := range []struct {
		flag, address, wayOut string
		listener              *net.Listener
	}{
		{"--bind-address", a.options.BindAddress, "", &a.listener},
		{"--health-probe-bind-address", a.options.HealthProbeBindAddress, "", &a.probes},
		{"--metrics-bind-address", a.options.MetricsBindAddress, ", or 0 to serve no metrics", &a.metrics},
	} {
		if l.address == noAddress {
			continue
		}
		listener, err := net.Listen("tcp", l.address) //nolint:noctx // nothing to cancel
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot listen on %s %s: %w; stop the program that uses it, or choose another address%s",
				l.flag, l.address, rootCause(err), l.wayOut))
			continue
		}
		*l.listener = listener
	}
	return errors.Join(errs...)
}

// rootCause returns the innermost error, without the address and the system call that the errors
// around it repeat.
func rootCause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// Close closes the listeners and the audit log of a service that is not going to Run.
func (a *App) Close() {
	a.closeAuditLog()
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
	defer a.audit.Flush()
	defer a.reopenAuditLog()()
	if a.options.Manifests != "" {
		return a.serveStandalone(ctx)
	}
	return a.serveCluster(ctx)
}
