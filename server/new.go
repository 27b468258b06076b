package server

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/forwardauth"
	"github.com/gatehouse-auth/gatehouse/server/kubernetes"
	"github.com/gatehouse-auth/gatehouse/server/oauth"
	"github.com/gatehouse-auth/gatehouse/server/puppet"
	"github.com/gatehouse-auth/gatehouse/server/redis"
)

// Config holds what the service reads from, what it writes to, and its policy.
type Config struct {
	Directory    *directory.Directory
	Keys         *token.KeySet
	Assertions   *assertion.Verifier // of the issuers that the service trusts; nil: none
	Records      grant.Records
	LoginUpdated func(*directory.User, loginstate.Update) // receives login updates; must not block
	Audit        audit.Sink
	Registry     prometheus.Registerer
	Now          func() time.Time

	Version        string
	Issuer         string
	Audience       []string
	Algorithm      string // of new signing keys
	Lifetimes      grant.Lifetimes
	AdminGroups    []string       // members may list and revoke the tokens of other users
	TrustedProxies []netip.Prefix // their X-Forwarded-For is trusted

	LockAfter        int           // consecutive failures; 0: never
	LockDuration     time.Duration // 0: until an administrator unlocks the account
	PasswordCacheTTL time.Duration // 0: no password cache
	HashConcurrency  int           // 0: chosen by the number of cores
	HashMemory       int64         // bytes that password hashes may take; 0: any number

	// Draining is closed when the service is about to stop; nil: it never is.
	Draining <-chan struct{}

	// CertificateEnds returns when the served certificate expires; nil if the service has none.
	CertificateEnds func() time.Time
}

// minimumTracked is how long a change of a user concerns JWTs at least: one issued before
// Lifetimes.JWTMaximum was lowered may live for longer than that.
const minimumTracked = 24 * time.Hour

// Server is the service without its connections: the verdicts, and the handler for all APIs.
type Server struct {
	Passwords  *authn.Password
	Assertions *authn.Assertion
	Tokens     *authn.Token
	Grants     *grant.Grants
	APIs       []api.API // those that Handler serves
	Handler    http.Handler
}

// New creates the verdicts, mounts every API on them, and registers the metrics with c.Registry.
func New(c Config) *Server {
	metrics := newMetrics(c.Registry)
	if c.Assertions == nil {
		c.Assertions = &assertion.Verifier{}
	}
	log := c.Audit
	c.Audit = func(ctx context.Context, e audit.Event) {
		e = audit.Identify(ctx, e)
		log(ctx, e)
		metrics.Count(ctx, e)
	}
	passwords := authn.NewPassword(authn.PasswordConfig{
		Directory: c.Directory, Audit: c.Audit, Observer: metrics, LoginUpdated: c.LoginUpdated, Now: c.Now,
		CacheTTL: c.PasswordCacheTTL, HashConcurrency: c.HashConcurrency, HashMemory: c.HashMemory, LockAfter: c.LockAfter, LockDuration: c.LockDuration,
	})
	s := &Server{
		Passwords:  passwords,
		Assertions: &authn.Assertion{Passwords: passwords, Directory: c.Directory, Verifier: c.Assertions, Audit: c.Audit, Now: c.Now},
		Tokens: &authn.Token{
			Directory: c.Directory, Audit: c.Audit, Now: c.Now,
			Verifier: &token.Verifier{Keys: c.Keys, Issuer: c.Issuer, Audience: c.Audience},
		},
		Grants: grant.New(grant.Config{
			Directory: c.Directory, Records: c.Records, Lifetimes: c.Lifetimes, Audit: c.Audit, LoginUpdated: c.LoginUpdated, Now: c.Now,
			Issuer: &token.Issuer{Keys: c.Keys, URL: c.Issuer, Audience: c.Audience},
		}),
	}
	registerIssuers(c.Registry, c.Assertions, c.Now)
	registerState(c.Registry, state{
		directory: c.Directory, keys: c.Keys, now: c.Now, version: c.Version,
		certificateEnds: c.CertificateEnds, queued: s.Passwords.Queued,
	})
	s.APIs = s.apis(c)
	s.Handler = newHandler(s.APIs, c.TrustedProxies, metrics, c.Audit)
	return s
}

func (s *Server) apis(c Config) []api.API {
	waiting := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gatehouse_revocations_waiting", Help: "Requests waiting for revocations.",
	})
	c.Registry.MustRegister(waiting)
	logins := &authn.Logins{Passwords: s.Passwords, Assertions: s.Assertions}
	return []api.API{
		redis.New(redis.Config{Logins: logins, Tokens: s.Tokens, Grants: s.Grants}),
		puppet.New(puppet.Config{
			Logins: logins, Tokens: s.Tokens, Grants: s.Grants, Directory: c.Directory, Keys: c.Keys,
			AdminGroups: c.AdminGroups, Version: c.Version, Now: c.Now,
		}),
		oauth.New(oauth.Config{
			Passwords: s.Passwords, Assertions: s.Assertions, Tokens: s.Tokens, Grants: s.Grants, Keys: c.Keys,
			Issuer: c.Issuer, Algorithm: c.Algorithm, Now: c.Now, Directory: c.Directory, Draining: c.Draining, Waiting: waiting,
			Changes: c.Directory.TrackChanges(max(c.Lifetimes.JWTMaximum, minimumTracked), c.Now),
		}),
		kubernetes.New(kubernetes.Config{Tokens: s.Tokens, Audience: c.Audience}),
		forwardauth.New(forwardauth.Config{Logins: logins, Tokens: s.Tokens}),
	}
}
