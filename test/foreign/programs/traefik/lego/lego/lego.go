// Package lego has a client of ACME servers that refuses every request.
package lego

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is the default ACME server.
const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

var errNone = errors.New("this build has no ACME")

// Config configures a client.
type Config struct {
	CADirURL, UserAgent string
	HTTPClient          *http.Client
	Certificate         struct{ Timeout time.Duration }
}

// NewConfig returns an empty configuration.
func NewConfig(any) *Config { return &Config{} }

// Client refuses every request.
type Client struct {
	Challenge    solvers
	Registration registrar
	Certificate  certifier
}

// NewClient returns an error.
func NewClient(*Config) (*Client, error) { return nil, errNone }

// CreateCertPool returns an error.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errNone }

type solvers struct{}

// SetDNS01Provider returns an error.
func (solvers) SetDNS01Provider(challenge.Provider, ...dns01.Option) error { return errNone }

// SetHTTP01Provider returns an error.
func (solvers) SetHTTP01Provider(challenge.Provider, ...http01.Option) error { return errNone }

// SetTLSALPN01Provider returns an error.
func (solvers) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.Option) error { return errNone }

type registrar struct{}

// Register returns an error.
func (registrar) Register(context.Context, registration.RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, errNone
}

// RegisterWithExternalAccountBinding returns an error.
func (registrar) RegisterWithExternalAccountBinding(context.Context, registration.RegisterEABOptions) (*acme.ExtendedAccount, error) {
	return nil, errNone
}

type certifier struct{}

// Obtain returns an error.
func (certifier) Obtain(context.Context, certificate.ObtainRequest) (*certificate.Resource, error) {
	return nil, errNone
}

// Renew returns an error.
func (certifier) Renew(context.Context, certificate.Resource, *certificate.RenewOptions) (*certificate.Resource, error) {
	return nil, errNone
}
