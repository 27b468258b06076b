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
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// serveStandalone runs the service on the manifests of a folder, without a cluster.
func (c *App) serveStandalone(ctx context.Context) (err error) {
	o := c.options
	scheme := "https"
	if o.AllowHTTP {
		scheme = "http"
	}
	o.settle(scheme + "://localhost:" + c.port())
	store, err := statedir.Open(o.StateDir, c.log)
	if err != nil {
		return fmt.Errorf("open the state folder: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	keys, keyUpkeep := standalone.NewKeys(o.StateDir, c.keys, o.keyPolicy(), c.log, c.now)
	_ = keys.Sync(ctx) // Ready says whether what it reports keeps tokens from being issued
	if err := keys.Ready(); err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	records := standalone.NewRecords(store, c.directory, c.log, c.now)
	manifests, err := standalone.New(standalone.Config{
		Dir: o.Manifests, Store: store, Records: records, Directory: c.directory, Keyer: c.keyer, Log: c.log, Now: c.now,
	})
	if err != nil {
		return err
	}
	feeding := []manager.Runnable{manifests, records, keyUpkeep}
	cert, renewal, err := c.folderCertificate(ctx)
	if err != nil {
		return err
	}
	if renewal != nil {
		feeding = append(feeding, renewal)
	}
	web, logins := c.newService(source{records: records, logins: records, certificate: cert})
	feeding = append(feeding, logins, c.newProbeServer(cert))
	feeding = append(feeding, c.metricsServer(c.metrics, c.metricsHandler())...)
	c.announce(os.Stdout)
	return runAll(c.stopping(ctx, 0), feeding, []manager.Runnable{web})
}

// port of the HTTPS server.
func (c *App) port() string {
	_, port, err := net.SplitHostPort(c.Address().String())
	if err != nil {
		return c.Address().String()
	}
	return port
}

// announce tells the person at the terminal where the service is and how to try it.
func (c *App) announce(out io.Writer) {
	o := c.options
	base, trust := "https://localhost:"+c.port(), ""
	switch {
	case o.AllowHTTP:
		base = "http://localhost:" + c.port()
	case o.TLSCertDir == "":
		ca := filepath.Join(o.StateDir, statedir.CertificateFile)
		if absolute, err := filepath.Abs(ca); err == nil {
			ca = absolute
		}
		trust = "--cacert " + ca + " "
	}
	login, password, _ := strings.Cut(o.PrintCurl, ":")
	fmt.Fprintf(out, `
Gatehouse serves %s at %s

  curl %s-u '%s:%s' -X POST %s/v1/users/authorize

  curl %s-X POST %s/rbac-api/v1/auth/token -H 'Content-Type: application/json' \
    -d '{"login": "%s", "password": "%s", "lifetime": "4h", "label": "four-hour token"}'

`, o.Manifests, base, trust, login, password, base, trust, base, login, password)
}
