package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

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

// certificate is what the HTTPS server shows. The zero value is for plain HTTP.
type certificate struct {
	get  getCertificate
	ends func() time.Time
}

// source is where users come from and where records go: a cluster or a folder.
type source struct {
	records     grant.Records
	notes       ledger.Writer
	certificate certificate
}

// newService puts the two verdicts, the doors and the HTTP server on top of a core and its source.
func newService(o *options, c *core, s source) (web *manager.Server, notes *ledger.Ledger) {
	notes = ledger.New(s.notes, c.log)
	note := func(u *directory.User, n ledger.Note) { notes.Note(ledger.User{Key: u.Key, UID: u.UID}, n) }
	log := audit.Log(c.log)
	sink := func(ctx context.Context, e audit.Event) { log(ctx, e); c.metrics.Count(ctx, e) }

	passwords := authn.NewPassword(authn.PasswordConfig{
		Directory: c.directory, Audit: sink, Observer: c.metrics, Noted: note, Now: c.now,
		MemoTTL: o.memoTTL, HashConcurrency: o.hashConcurrency, LockAfter: o.lockAfter, LockDuration: o.lockDuration,
	})
	tokens := &authn.Token{
		Directory: c.directory, Audit: sink, Now: c.now,
		Verifier: &token.Verifier{Keys: c.keys, Issuer: o.issuerURL, Audience: o.audience},
	}
	grants := grant.New(grant.Config{
		Directory: c.directory, Records: s.records, Lifetimes: o.lifetimes(), Audit: sink, Noted: note, Now: c.now,
		Issuer: &token.Issuer{Keys: c.keys, URL: o.issuerURL, Audience: o.audience},
	})
	doors := newDoors(o, c, verdicts{passwords, tokens, grants})
	handler := server.Handler(server.Config{Doors: doors, TrustedProxies: o.proxies, Metrics: c.metrics})
	server.RegisterState(metrics.Registry, server.State{
		Directory: c.directory, Keys: c.keys, Now: c.now, Version: version, CertificateEnds: s.certificate.ends, Queued: passwords.Queued,
	})
	return newWebServer(c, s, handler), notes
}

// verdicts are what the doors translate to.
type verdicts struct {
	passwords *authn.Password
	tokens    *authn.Token
	grants    *grant.Grants
}

func newDoors(o *options, c *core, v verdicts) []door.Door {
	return []door.Door{
		redis.New(redis.Config{Passwords: v.passwords, Tokens: v.tokens, Grants: v.grants}),
		puppet.New(puppet.Config{
			Passwords: v.passwords, Tokens: v.tokens, Grants: v.grants, Directory: c.directory,
			AdminGroups: o.adminGroups, Version: version, Now: c.now,
		}),
		oauth.New(oauth.Config{
			Passwords: v.passwords, Tokens: v.tokens, Grants: v.grants, Keys: c.keys,
			Issuer: o.issuerURL, Algorithm: o.algorithm, Now: c.now,
		}),
		kubernetes.New(kubernetes.Config{Tokens: v.tokens, Audience: o.audience}),
		forwardauth.New(forwardauth.Config{Passwords: v.passwords, Tokens: v.tokens}),
	}
}

func newWebServer(c *core, s source, handler http.Handler) *manager.Server {
	web := server.New(c.drain.Handler(handler))
	// Broken handshakes and the like are the client's doing: worth a line only to somebody who looks for it.
	web.ErrorLog = slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)
	listener := c.listener
	if s.certificate.get != nil {
		listener = tls.NewListener(listener, &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: s.certificate.get,
			NextProtos:     []string{"h2", "http/1.1"},
		})
	}
	timeout := drainTimeout
	return &manager.Server{Name: "tokens", Server: web, Listener: listener, ShutdownTimeout: &timeout}
}

// newProbeServer answers /healthz as long as the process lives, and /readyz while it has everything to answer with and is
// not about to end.
func newProbeServer(o *options, c *core, cert certificate) (*manager.Server, error) {
	listener, err := net.Listen("tcp", o.healthAddress) //nolint:noctx // nothing to cancel
	if err != nil {
		return nil, errors.Join(errors.New("--health-probe-bind-address"), err)
	}
	mux := http.NewServeMux()
	mux.Handle("/healthz", healthz.CheckHandler{Checker: healthz.Ping})
	mux.Handle("/readyz", healthz.CheckHandler{Checker: func(*http.Request) error { return c.ready(cert) }})
	return &manager.Server{Name: "probes", Server: server.New(mux), Listener: listener}, nil
}

// ready says why requests should not be sent here, if so.
func (c *core) ready(cert certificate) error {
	switch {
	case c.drain.Begun():
		return errors.New("the process is about to end")
	case !c.directory.HasSynced():
		return errors.New("the directory does not hold every user yet")
	case !c.keys.Ready(c.now()):
		return errors.New("there are no keys to issue tokens with yet")
	case cert.ends != nil && cert.ends().IsZero():
		return errors.New("there is no certificate to serve yet")
	}
	return nil
}
