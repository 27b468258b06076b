package serve

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/server"
)

// drainTimeout is how long requests in flight may take to end: a password hash that has just begun to wait ends sooner.
const drainTimeout = 15 * time.Second

// source is where users come from and where records go: a cluster or a folder.
type source struct {
	records     grant.Records
	logins      loginstate.Writer
	certificate certificate
}

// newService puts the server on top of the app and its source. Both results must be started.
func (c *App) newService(s source) (web *manager.Server, notes *loginstate.Queue) {
	o := c.options
	notes = loginstate.New(s.logins, c.log)
	service := server.New(server.Config{
		Directory: c.directory, Keys: c.keys, Records: s.records, Audit: audit.Log(c.log), Registry: c.registry, Now: c.now,
		LoginUpdated: func(u *directory.User, n loginstate.Update) { notes.Add(loginstate.User{Key: u.Key, UID: u.UID}, n) },
		Version:      o.Version, Issuer: o.IssuerURL, Audience: o.Audience, Algorithm: o.SigningAlgorithm, Lifetimes: o.lifetimes(),
		AdminGroups: o.AdminGroups, TrustedProxies: o.proxies, CertificateEnds: s.certificate.ends,
		LockAfter: o.FailedAttemptsLockout, LockDuration: o.LockoutDuration,
		PasswordCacheTTL: o.PasswordMemoTTL, HashConcurrency: o.PasswordHashConcurrency,
	})
	return c.newWebServer(s, service.Handler), notes
}

func (c *App) newWebServer(s source, handler http.Handler) *manager.Server {
	web := server.NewHTTP(c.drain.Handler(handler))
	// Broken handshakes and the like are the client's doing: worth a line only to somebody who looks for it.
	web.ErrorLog = slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)
	listener := c.listener
	if s.certificate.get != nil {
		listener = tls.NewListener(listener, tlsConfig(s.certificate))
	}
	timeout := drainTimeout
	return &manager.Server{Name: "tokens", Server: web, Listener: listener, ShutdownTimeout: &timeout}
}
