package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/internal/keystore"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// serveStandalone runs the service with the manifests of a folder, without a cluster.
func (a *App) serveStandalone(ctx context.Context) (err error) {
	o := a.options
	scheme := "https"
	if o.AllowHTTP {
		scheme = "http"
	}
	o.setIssuerDefaults(scheme + "://localhost:" + a.port())
	store, err := a.openState()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	trusted, err := a.newIssuers()
	if err != nil {
		return err
	}

	keys, keyUpkeep := standalone.NewKeys(o.StateDir, a.log, keystore.Keys{
		Set: a.keys, Policy: o.keyPolicy(), Now: a.now, UseDecoySecret: a.directory.UseDecoySecret,
	})
	_ = keys.Sync(ctx) // it reports its error, and Ready returns one if no key can issue tokens
	if err := keys.Ready(); err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	records := standalone.NewRecords(store, a.directory, a.log, a.now)
	manifests, err := standalone.New(standalone.Config{
		Dir: o.Manifests, Store: store, Records: records, Directory: a.directory, Keyer: a.keyer, Trusts: trusted.Trusts, Log: a.log, Now: a.now,
		Loaded: func() {
			if o.PrintCurl != "" {
				a.announce(os.Stdout)
			}
		},
		HashMemory: hashMemory(),
	})
	if err != nil {
		return err
	}
	a.registry.MustRegister(standalone.RejectedGauge(manifests.Rejected))
	unlock := standalone.NewUnlock(o.StateDir, records, a.directory, a.log)
	sources := []manager.Runnable{trusted, manifests, records, keyUpkeep, unlock}
	cert, renewal, err := a.folderCertificate(ctx)
	if err != nil {
		return err
	}
	if renewal != nil {
		sources = append(sources, renewal)
	}
	web, logins := a.newService(source{records: records, logins: records, certificate: cert})
	sources = append(sources, logins, a.newProbeServer(cert))
	sources = append(sources, a.metricsServer(a.metrics, a.metricsHandler())...)
	return runAll(a.drainContext(ctx, 0), sources, []manager.Runnable{web})
}

// openState opens the state folder. It warns if the folder, which holds private keys, is inside a git
// work tree, from where it could be published.
func (a *App) openState() (*statedir.Store, error) {
	o := a.options
	if o.stateDirIsDefault {
		if err := statedir.Claim(o.StateDir, o.Manifests); err != nil {
			return nil, err
		}
	}
	store, err := statedir.Open(o.StateDir, a.log)
	if err != nil {
		return nil, err
	}
	if tree := statedir.WorkTree(o.StateDir); tree != "" {
		a.log.Warn("the state folder holds private keys and is inside a git work tree; choose another one with --state-dir",
			"folder", o.StateDir, "workTree", tree)
	}
	return store, nil
}

// port returns the port of the service.
func (a *App) port() string {
	_, port, err := net.SplitHostPort(a.Address().String())
	if err != nil {
		return a.Address().String()
	}
	return port
}

// announce prints the address of the service and two commands to try it.
func (a *App) announce(out io.Writer) {
	o := a.options
	base, trust := "https://localhost:"+a.port(), ""
	switch {
	case o.AllowHTTP:
		base = "http://localhost:" + a.port()
	case o.TLSCertDir == "":
		ca := filepath.Join(o.StateDir, statedir.CertificateFile)
		if absolute, err := filepath.Abs(ca); err == nil {
			ca = absolute
		}
		trust = "--cacert " + ca + " "
	}
	login, password, _ := strings.Cut(o.PrintCurl, ":")
	fmt.Fprintf(out, `
Serving %s at %s

  curl %s-u '%s:%s' -X POST %s/v1/users/authorize

  curl %s-X POST %s/rbac-api/v1/auth/token -H 'Content-Type: application/json' \
    -d '{"login": "%s", "password": "%s", "lifetime": "4h", "label": "four-hour token"}'

`, o.Manifests, base, trust, login, password, base, trust, base, login, password)
}
