// Package servertest starts the service for tests, with a real directory, real hashes and keys, and
// a real TLS listener with a client that trusts it. Only two things differ: tests can move the
// clock, and token records stay in memory.
package servertest

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/server/longpoll"
)

// Issuer is the default issuer and audience of the tokens of a Service.
const Issuer = "https://gatehouse.test"

var lifetimes = grant.Lifetimes{
	JWTDefault: 300 * time.Second, JWTMaximum: 86400 * time.Second,
	OpaqueDefault: time.Hour, OpaqueMaximum: 10 * 365 * 24 * time.Hour,
}

// Options configure the Service that New starts. The zero value has the lifetimes of the command
// line, no password cache and no lockout.
type Options struct {
	LockAfter        int
	PasswordCacheTTL time.Duration
	TrustedProxies   []netip.Prefix
	Algorithm        string // of new signing keys; default: token.ES256
	Issuer           string // also the audience; default: the constant Issuer
	// OwnURL uses the URL of the service as issuer and audience. Clients that follow the discovery
	// document need that.
	OwnURL bool
	// Unsynced leaves the directory in the state that it has before all users are read.
	Unsynced bool
	// Assertions verify tokens of other issuers. If it is nil, no issuer is trusted.
	Assertions *assertion.Verifier
	// Lifetimes are the limits of tokens. The zero value stands for those of the command line.
	Lifetimes grant.Lifetimes
	// Draining is closed when the service is to answer those who wait.
	Draining <-chan struct{}
	// Log receives the audit events. If it is nil, Events returns them.
	Log *slog.Logger
}

// Service is a running service.
type Service struct {
	URL    string
	Issuer string // also the audience
	CA     []byte // the PEM certificate that Client trusts
	Client *http.Client

	*server.Server
	Directory *directory.Directory
	Keys      *token.KeySet
	Records   *Records
	Registry  *prometheus.Registry

	offset atomic.Int64
	mu     sync.Mutex
	events []audit.Event
}

// New starts a Service and stops it when the test ends.
func New(t testing.TB, o Options) *Service {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	s := &Service{
		Issuer: cmp.Or(o.Issuer, Issuer), Directory: directory.New(), Keys: &token.KeySet{}, Registry: prometheus.NewRegistry(),
	}
	if o.OwnURL {
		s.Issuer = "https://" + ts.Listener.Addr().String()
	}
	s.Records = &Records{gate: s}
	keys, err := token.Keys{}.Advance(s.Now(), token.Policy{Algorithm: token.ES256, Interval: 720 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s.Keys.Use(keys)
	s.Directory.Touch(s.Now())
	if !o.Unsynced {
		s.Directory.MarkSynced()
	}
	write := func(_ context.Context, e audit.Event) { s.record(e) }
	if o.Log != nil {
		log := audit.NewLog(o.Log)
		t.Cleanup(log.Flush)
		write = log.Write
	}
	s.Server = server.New(server.Config{
		Directory: s.Directory, Keys: s.Keys, Assertions: o.Assertions, Records: s.Records, Audit: write, Registry: s.Registry, Now: s.Now,
		LoginUpdated: func(*directory.User, loginstate.Update) {},
		Version:      "1.2.3", Issuer: s.Issuer, Audience: []string{s.Issuer}, Algorithm: cmp.Or(o.Algorithm, token.ES256),
		AdminGroups: []string{"wheel", "gatehouse-admins"}, TrustedProxies: o.TrustedProxies,
		PasswordCacheTTL: o.PasswordCacheTTL, LockAfter: o.LockAfter, LockDuration: 30 * time.Minute,
		Draining:  o.Draining,
		Lifetimes: cmp.Or(o.Lifetimes, lifetimes),
	})
	ts.Config = server.NewHTTP(s.Handler)
	ts.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	connections := server.LimitConnections(ts.Listener, server.ConnectionLimits{Total: 1000, PerNetwork: 1000})
	s.Registry.MustRegister(connections)
	certificate, trusted := s.newCertificate(t)
	s.URL = "https://" + ts.Listener.Addr().String()
	held := longpoll.Listen(tls.NewListener(connections, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}))
	ts.Listener, ts.Config.ConnState, ts.Config.ConnContext = held, connections.ConnState, held.ConnContext
	ts.Start()
	t.Cleanup(ts.Close)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	s.Client = &http.Client{Transport: transport}
	return s
}

// newCertificate returns a certificate for the address of the service and for example.com, and the CA that
// has issued it.
func (s *Service) newCertificate(t testing.TB) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	leaf, bundle, err := authority.Single([]string{"127.0.0.1", "::1", "example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.CA = bundle
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(bundle)
	return leaf, trusted
}

// Now returns the time of the clock that the service uses.
func (s *Service) Now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// Advance moves the clock of the service forward by d.
func (s *Service) Advance(d time.Duration) { s.offset.Add(int64(d)) }

func (s *Service) record(e audit.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// Events returns the audit events so far.
func (s *Service) Events() []audit.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Records keeps token records in the directory alone. It implements grant.Records.
type Records struct {
	gate *Service
	mu   sync.Mutex
	down bool
}

// Fail makes every write fail with grant.ErrUnavailable, or work again.
func (r *Records) Fail(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// Create implements grant.Records.
func (r *Records) Create(_ context.Context, record directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return directory.Record{}, grant.ErrUnavailable
	}
	known := r.gate.Directory.RecordsOf(record.UserUID)
	for _, k := range known {
		if record.Label != "" && k.Label == record.Label && keep(k) {
			return k, nil
		}
	}
	if len(known) >= grant.MaximumRecords {
		return directory.Record{}, grant.ErrTooManyRecords
	}
	r.gate.Directory.PutRecord(record)
	return record, nil
}

// Labelled implements grant.Records.
func (r *Records) Labelled(_ context.Context, u *directory.User, label string) (directory.Record, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return directory.Record{}, false, grant.ErrUnavailable
	}
	for _, known := range r.gate.Directory.RecordsOf(u.UID) {
		if known.Label == label {
			return known, true, nil
		}
	}
	return directory.Record{}, false, nil
}

// Revoke implements grant.Records.
func (r *Records) Revoke(_ context.Context, record directory.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return grant.ErrUnavailable
	}
	_, ok := r.gate.Directory.Record(record.UserUID, record.ID)
	if !ok && r.gate.Directory.CountRecords(record.UserUID) >= grant.MaximumRecords {
		at := r.gate.Now()
		if record.IssuedAt.After(at) {
			at = record.IssuedAt
		}
		r.gate.Directory.RevokeTokens(record.UserUID, at)
		return nil
	}
	r.gate.Directory.PutRecord(record.AsRevoked())
	return nil
}

// RevokeUser implements grant.Records.
func (r *Records) RevokeUser(_ context.Context, u *directory.User, at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return grant.ErrUnavailable
	}
	r.gate.Directory.RevokeTokens(u.UID, at)
	return nil
}
