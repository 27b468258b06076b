package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/gatehouse-auth/gatehouse/internal/batch"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server"
)

// core is what a source of users writes and the server reads.
type core struct {
	log       *slog.Logger
	directory *directory.Directory
	keys      *token.KeySet
	keyer     *password.Keyer
	metrics   *server.Metrics
	drain     *server.Drain
	listener  net.Listener
	now       func() time.Time
}

// newCore opens the listener too, so that a port that is taken is known before anything is written anywhere.
func newCore(o *options, log *slog.Logger) (*core, error) {
	listener, err := net.Listen("tcp", o.bindAddress) //nolint:noctx // nothing to cancel
	if err != nil {
		return nil, fmt.Errorf("--bind-address: %w", err)
	}
	return &core{
		log:       log,
		directory: directory.New(),
		keys:      &token.KeySet{},
		keyer:     password.NewKeyer(),
		metrics:   server.NewMetrics(metrics.Registry),
		drain:     &server.Drain{},
		listener:  listener,
		now:       time.Now,
	}, nil
}

// newLogger writes to standard error, as JSON unless text is asked for, and is the logger of the Kubernetes libraries too. Call
// flush in the end: lines are written in batches.
func newLogger(o *options) (log *slog.Logger, flush func()) {
	out := batch.NewWriter(os.Stderr)
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.logLevel)) // validate has read it before
	handlerOptions := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(out, handlerOptions)
	if o.logFormat == "text" {
		handler = slog.NewTextHandler(out, handlerOptions)
	}
	ctrl.SetLogger(logr.FromSlogHandler(handler))
	return slog.New(handler), out.Flush
}
