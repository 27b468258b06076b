package serve

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/server/longpoll"
)

// drainTimeout is how long requests in flight may take to finish. Even a password hash that has
// just begun to wait for its turn finishes sooner.
const drainTimeout = 15 * time.Second

// source is what a cluster or a folder provides to the server.
type source struct {
	records     grant.Records
	logins      loginstate.Writer
	certificate certificate
}

// newService returns the HTTP server of a source, and the queue that writes login state. The caller
// must start both.
func (a *App) newService(s source) (web *manager.Server, logins *loginstate.Queue) {
	o := a.options
	logins = loginstate.New(s.logins, a.log)
	service := server.New(server.Config{
		Directory: a.directory, Keys: a.keys, Assertions: a.assertions, Records: s.records, Audit: a.audit.Write, Registry: a.registry, Now: a.now,
		LoginUpdated: func(u *directory.User, update loginstate.Update) {
			logins.Add(loginstate.User{Key: u.Key, UID: u.UID}, update)
		},
		Version: o.Version, Issuer: o.IssuerURL, Audience: o.Audience, Algorithm: o.SigningAlgorithm, Lifetimes: o.lifetimes(),
		AdminGroups: o.AdminGroups, TrustedProxies: o.proxies, CertificateEnds: s.certificate.ends, Draining: a.drain.Started(),
		LockAfter: o.FailedAttemptsLockout, LockDuration: o.LockoutDuration,
		PasswordCacheTTL: o.PasswordMemoTTL, HashConcurrency: o.PasswordHashConcurrency, HashMemory: hashMemory(),
	})
	return a.newWebServer(s, service.Handler), logins
}

func (a *App) newWebServer(s source, handler http.Handler) *manager.Server {
	web := server.NewHTTP(a.drain.Handler(handler))
	// Failed handshakes and the like are caused by clients, so they are logged at debug level only.
	web.ErrorLog = slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)
	total := connectionLimit()
	connections := server.LimitConnections(a.listener, server.ConnectionLimits{
		Total: total, PerNetwork: total / 2, Exempt: a.options.proxies,
	})
	a.registry.MustRegister(connections)
	web.ConnState = connections.ConnState
	var listener net.Listener = connections
	if s.certificate.get != nil {
		listener = tls.NewListener(listener, tlsConfig(s.certificate))
	}
	held := longpoll.Listen(listener)
	web.ConnContext = held.ConnContext
	timeout := drainTimeout
	return &manager.Server{Name: "tokens", Server: web, Listener: held, ShutdownTimeout: &timeout}
}
