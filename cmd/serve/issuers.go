package serve

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/trust"
	"github.com/gatehouse-auth/gatehouse/server/fetch"
)

// trustedFileInterval is the time between two looks at the file of trusted issuers. A ConfigMap
// takes up to a minute to reach it.
const trustedFileInterval = 5 * time.Second

// issuers keeps the issuers current whose tokens speak for users: that of the cluster, and those in
// the file of trusted issuers. It is a manager.Runnable that runs on every replica.
type issuers struct {
	file      string       // empty: none
	audience  []string     // of assertions, where the file names none
	own       string       // the issuer of this service, whose tokens are no assertions
	cluster   *http.Client // of the API server; nil without a cluster
	apiServer string       // its URL
	verifier  *assertion.Verifier
	log       *slog.Logger
	now       func() time.Time

	mu        sync.Mutex
	listed    []trust.Issuer // as in the file
	running   map[string]*runningIssuer
	listeners []func()
	wrong     string // the last error about the file, which is logged once
}

// runningIssuer is an issuer with what stops it.
type runningIssuer struct {
	config trust.Issuer // zero for the cluster
	issuer *assertion.Issuer
	stop   context.CancelFunc
}

// newIssuers returns the issuers of a service. It returns an error if the file cannot be read.
func (a *App) newIssuers() (*issuers, error) {
	o := a.options
	i := &issuers{
		file: o.TrustedIssuers, audience: o.Audience, own: o.IssuerURL, verifier: a.assertions, log: a.log, now: a.now,
		running: map[string]*runningIssuer{},
	}
	if i.file == "" {
		return i, nil
	}
	listed, err := i.read()
	if err != nil {
		return nil, fmt.Errorf("--trusted-issuers: %w", err)
	}
	i.listed = listed
	return i, nil
}

// read reads the file.
func (i *issuers) read() ([]trust.Issuer, error) {
	file, err := os.Open(i.file)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, trust.MaximumSize+1))
	if err != nil {
		return nil, err
	}
	listed, err := trust.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.file, err)
	}
	if slices.ContainsFunc(listed, func(l trust.Issuer) bool { return l.URL == i.own }) {
		return nil, fmt.Errorf("%s: %s is this service itself, whose tokens do not log in; remove it from the list", i.file, i.own)
	}
	return listed, nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (i *issuers) NeedLeaderElection() bool { return false }

// Start fetches keys until ctx ends, and reads the file again when it changes.
func (i *issuers) Start(ctx context.Context) error {
	i.apply(ctx)
	ticker := time.NewTicker(trustedFileInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if i.file != "" && i.reload() {
			i.apply(ctx)
		}
	}
}

// reload reads the file again and reports whether the list has changed. A file with a fault leaves
// the list as it is.
func (i *issuers) reload() bool {
	listed, err := i.read()
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		if i.wrong != err.Error() {
			i.wrong = err.Error()
			i.log.Error("could not read the trusted issuers; those of before stay trusted", "error", err)
		}
		return false
	}
	if i.wrong != "" {
		i.wrong = ""
		i.log.Info("read the trusted issuers again")
	}
	if reflect.DeepEqual(listed, i.listed) {
		return false
	}
	i.listed = listed
	i.log.Info("the trusted issuers have changed", "issuers", len(listed))
	return true
}

// apply trusts the listed issuers and that of the cluster, and no others. It keeps the keys of
// issuers that have not changed. The issuer of the cluster comes first, so that an entry with its
// name does not replace it: what the API server says of its own tokens holds.
func (i *issuers) apply(ctx context.Context) {
	i.mu.Lock()
	next := map[string]*runningIssuer{}
	var trusted []*assertion.Issuer
	if i.cluster != nil {
		next[""] = i.running[""]
		if next[""] == nil {
			next[""] = i.run(ctx, trust.Issuer{}, i.clusterSource())
		}
		trusted = append(trusted, next[""].issuer)
	}
	for _, l := range i.listed {
		next[l.URL] = i.running[l.URL]
		if next[l.URL] == nil || !reflect.DeepEqual(next[l.URL].config, l) {
			next[l.URL] = i.run(ctx, l, sourceOf(l))
		}
		trusted = append(trusted, next[l.URL].issuer)
	}
	i.verifier.Trust(trusted)
	for url, r := range i.running {
		if next[url] != r {
			r.stop()
		}
	}
	i.running = next
	i.mu.Unlock()
	i.announce()
}

// announce calls the listeners.
func (i *issuers) announce() {
	i.mu.Lock()
	listeners := slices.Clone(i.listeners)
	i.mu.Unlock()
	for _, changed := range listeners {
		changed()
	}
}

// run starts an issuer.
func (i *issuers) run(ctx context.Context, config trust.Issuer, source assertion.Source) *runningIssuer {
	audiences := config.Audiences
	if len(audiences) == 0 {
		audiences = i.audience
	}
	ctx, stop := context.WithCancel(ctx)
	r := &runningIssuer{config: config, stop: stop, issuer: assertion.NewIssuer(assertion.Config{
		Source: source, Audiences: audiences, Cluster: source.Issuer == "", Now: i.now, Fetched: i.fetched,
	})}
	go r.issuer.Run(ctx)
	return r
}

// fetched logs what has come of a fetch.
func (i *issuers) fetched(issuer *assertion.Issuer, changed bool, err error) {
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		i.log.Warn("could not fetch the keys of an issuer; will retry", "issuer", cmp.Or(issuer.Name(), directory.ClusterIssuer), "error", err)
	case changed:
		i.log.Info("fetched the keys of an issuer", "issuer", issuer.Name())
		if issuer.Cluster {
			i.announce() // the name of the cluster's issuer may be new
		}
	}
}

// Trusts reports whether tokens of an issuer may log in. The name of the cluster's issuer is
// directory.ClusterIssuer or its URL.
func (i *issuers) Trusts(issuer string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cluster != nil {
		if issuer == directory.ClusterIssuer {
			return true
		}
		if r := i.running[""]; r != nil && r.issuer.Name() == issuer {
			return true
		}
	}
	return slices.ContainsFunc(i.listed, func(l trust.Issuer) bool { return l.URL == issuer })
}

// OnChange calls f after each change of what Trusts reports.
func (i *issuers) OnChange(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.listeners = append(i.listeners, f)
}

// clusterSource reads the issuer and the keys of ServiceAccount tokens from the API server, which
// may be reachable where the URLs in its discovery document are not.
func (i *issuers) clusterSource() assertion.Source {
	return assertion.Source{
		Get:          fetch.Wrap(i.cluster.Transport).Get,
		DiscoveryURL: i.apiServer + "/.well-known/openid-configuration",
		KeysURL:      i.apiServer + "/openid/v1/jwks",
	}
}

func sourceOf(l trust.Issuer) assertion.Source {
	var roots *x509.CertPool
	if l.CertificateAuthority != "" {
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(l.CertificateAuthority))
	}
	return assertion.Source{Get: fetch.New(roots).Get, Issuer: l.URL, DiscoveryURL: l.DiscoveryURL}
}

// followCluster trusts the issuer of the cluster that mgr is connected to.
func (i *issuers) followCluster(mgr manager.Manager) error {
	server, _, err := rest.DefaultServerUrlFor(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("find the URL of the API server: %w", err)
	}
	i.cluster, i.apiServer = mgr.GetHTTPClient(), strings.TrimSuffix(server.String(), "/")
	return nil
}
