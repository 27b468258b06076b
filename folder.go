package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gatehouse-auth/gatehouse/controllers"
	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/state"
)

// serveFolder runs the service on the manifests of a folder, without a cluster.
func serveFolder(ctx context.Context, o *options, c *core) (err error) {
	scheme := "https"
	if o.allowHTTP {
		scheme = "http"
	}
	o.settle(scheme + "://localhost:" + o.port())
	store, err := state.Open(o.stateDir, c.log)
	if err != nil {
		return fmt.Errorf("open the state folder: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	keys := &controllers.StateKeys{Dir: o.stateDir, Keys: c.keys, Policy: o.keyPolicy(), Log: c.log, Now: c.now}
	if err := keys.Look(); err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	records := controllers.NewStateRecords(store, c.directory, c.log, c.now)
	manifests, err := controllers.NewManifests(controllers.ManifestsConfig{
		Dir: o.manifests, Store: store, Records: records, Directory: c.directory, Keyer: c.keyer, Log: c.log, Now: c.now,
	})
	if err != nil {
		return err
	}
	feeding := []manager.Runnable{manifests, records, keys}
	cert, renewal, err := folderCertificate(o, c)
	if err != nil {
		return err
	}
	if renewal != nil {
		feeding = append(feeding, renewal)
	}
	web, notes := newService(o, c, source{records: records, notes: records, certificate: cert})
	probes, err := newProbeServer(o, c, cert)
	if err != nil {
		return err
	}
	metrics, err := metricsserver.NewServer(metricsserver.Options{BindAddress: o.metricsAddr, ExtraHandlers: profiles(o)}, nil, nil)
	if err != nil {
		return fmt.Errorf("--metrics-bind-address: %w", err)
	}
	if metrics != nil {
		feeding = append(feeding, metrics)
	}
	announce(o, os.Stdout)
	return runAll(c.stopping(ctx, 0), append(feeding, notes, probes), []manager.Runnable{web})
}

// folderCertificate is the mounted one, or one of the CA in the state folder.
func folderCertificate(o *options, c *core) (certificate, manager.Runnable, error) {
	if o.allowHTTP {
		return certificate{}, nil, nil
	}
	if o.tlsCertDir != "" {
		watcher, cert, err := mountedCertificate(o)
		return cert, watcher, err
	}
	own := authority.NewSource(localNames(o), c.now)
	file := &controllers.StateAuthority{Dir: o.stateDir, Source: own, Log: c.log, Now: c.now}
	if err := file.Look(); err != nil {
		return certificate{}, nil, fmt.Errorf("read the CA: %w", err)
	}
	return certificate{get: own.GetCertificate, ends: own.NotAfter}, file, nil
}

// announce tells the person at the terminal where the service is and how to try it.
func announce(o *options, out *os.File) {
	base, trust := "https://localhost:"+o.port(), ""
	switch {
	case o.allowHTTP:
		base = "http://localhost:" + o.port()
	case o.tlsCertDir == "":
		ca := filepath.Join(o.stateDir, state.CertificateFile)
		if absolute, err := filepath.Abs(ca); err == nil {
			ca = absolute
		}
		trust = "--cacert " + ca + " "
	}
	login, password, _ := strings.Cut(o.printCurl, ":")
	fmt.Fprintf(out, `
Gatehouse serves %s at %s

  curl %s-u '%s:%s' -X POST %s/v1/users/authorize

  curl %s-X POST %s/rbac-api/v1/auth/token -H 'Content-Type: application/json' \
    -d '{"login": "%s", "password": "%s", "lifetime": "4h", "label": "four-hour token"}'

`, o.manifests, base, trust, login, password, base, trust, base, login, password)
}
