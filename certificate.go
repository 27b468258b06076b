package main

import (
	"fmt"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// mountedCertificate serves the certificate in --tls-cert-dir. The watcher must be started; it reads the files anew when they
// change.
func mountedCertificate(o *options) (*certwatcher.CertWatcher, certificate, error) {
	watcher, err := certwatcher.New(filepath.Join(o.tlsCertDir, "tls.crt"), filepath.Join(o.tlsCertDir, "tls.key"))
	if err != nil {
		return nil, certificate{}, fmt.Errorf("--tls-cert-dir: %w", err)
	}
	ends := func() time.Time {
		cert, err := watcher.GetCertificate(nil)
		if err != nil || cert.Leaf == nil {
			return time.Time{}
		}
		return cert.Leaf.NotAfter
	}
	return watcher, certificate{get: watcher.GetCertificate, ends: ends}, nil
}
