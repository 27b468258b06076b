package serve

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/ledger"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/server/door"
	"github.com/gatehouse-auth/gatehouse/server/forwardauth"
	"github.com/gatehouse-auth/gatehouse/server/kubernetes"
	"github.com/gatehouse-auth/gatehouse/server/oauth"
	"github.com/gatehouse-auth/gatehouse/server/puppet"
	"github.com/gatehouse-auth/gatehouse/server/redis"
)

// drainTimeout is how long requests in flight may take to end: a password hash that has just begun to wait ends sooner.
const drainTimeout = 15 * time.Second

// source is where users come from and where records go: a cluster or a folder.
type source struct {
	records     grant.Records
	logins      ledger.Writer
	certificate certificate
}

// newService puts the two verdicts, the doors and the HTTP server on top of a core and its source.
func (c *App) newService(s source) (web *manager.Server, notes *ledger.Ledger) {
	o, measured := c.options, server.NewMetrics(c.registry)
	notes = ledger.New(s.logins, c.log)
	note := func(u *directory.User, n ledger.Note) { notes.Note(ledger.User{Key: u.Key, UID: u.UID}, n) }
	log := audit.Log(c.log)
	sink := func(ctx context.Context, e audit.Event) { log(ctx, e); measured.Count(ctx, e) }

	passwords := authn.NewPassword(authn.PasswordConfig{
		Directory: c.directory, Audit: sink, Observer: measured, Noted: note, Now: c.now,
		MemoTTL: o.PasswordMemoTTL, HashConcurrency: o.PasswordHashConcurrency, LockAfter: o.FailedAttemptsLockout, LockDuration: o.LockoutDuration,
	})
	tokens := &authn.Token{
		Directory: c.directory, Audit: sink, Now: c.now,
		Verifier: &token.Verifier{Keys: c.keys, Issuer: o.IssuerURL, Audience: o.Audience},
	}
	grants := grant.New(grant.Config{
		Directory: c.directory, Records: s.records, Lifetimes: o.lifetimes(), Audit: sink, Noted: note, Now: c.now,
		Issuer: &token.Issuer{Keys: c.keys, URL: o.IssuerURL, Audience: o.Audience},
	})
	doors := c.newDoors(verdicts{passwords, tokens, grants})
	handler := server.Handler(server.Config{Doors: doors, TrustedProxies: o.proxies, Metrics: measured})
	server.RegisterState(c.registry, server.State{
		Directory: c.directory, Keys: c.keys, Now: c.now, Version: o.Version, CertificateEnds: s.certificate.ends, Queued: passwords.Queued,
	})
	return c.newWebServer(s, handler), notes
}

// verdicts are what the doors translate to.
type verdicts struct {
	passwords *authn.Password
	tokens    *authn.Token
	grants    *grant.Grants
}

func (c *App) newDoors(v verdicts) []door.Door {
	o := c.options
	return []door.Door{
		redis.New(redis.Config{Passwords: v.passwords, Tokens: v.tokens, Grants: v.grants}),
		puppet.New(puppet.Config{
			Passwords: v.passwords, Tokens: v.tokens, Grants: v.grants, Directory: c.directory,
			AdminGroups: o.AdminGroups, Version: o.Version, Now: c.now,
		}),
		oauth.New(oauth.Config{
			Passwords: v.passwords, Tokens: v.tokens, Grants: v.grants, Keys: c.keys,
			Issuer: o.IssuerURL, Algorithm: o.SigningAlgorithm, Now: c.now,
		}),
		kubernetes.New(kubernetes.Config{Tokens: v.tokens, Audience: o.Audience}),
		forwardauth.New(forwardauth.Config{Passwords: v.passwords, Tokens: v.tokens}),
	}
}

func (c *App) newWebServer(s source, handler http.Handler) *manager.Server {
	web := server.New(c.drain.Handler(handler))
	// Broken handshakes and the like are the client's doing: worth a line only to somebody who looks for it.
	web.ErrorLog = slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)
	listener := c.listener
	if s.certificate.get != nil {
		listener = tls.NewListener(listener, tlsConfig(s.certificate))
	}
	timeout := drainTimeout
	return &manager.Server{Name: "tokens", Server: web, Listener: listener, ShutdownTimeout: &timeout}
}
