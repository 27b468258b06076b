package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-auth/gatehouse/internal/duration"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Options configure a service. Each field is the flag of the same name of gatehouse serve, and Bind
// has its help. Create Options with NewOptions, set fields or parse flags, and call Validate. Each
// service needs Options of its own and may fill in defaults that depend on its port.
type Options struct {
	Version string // of the binary, for status, metrics and logs

	BindAddress            string // host:port of the HTTPS server; port 0 picks a free one
	AllowHTTP              bool
	TLSCertDir             string
	HealthProbeBindAddress string // host:port; port 0 picks a free one
	MetricsBindAddress     string // host:port; port 0 picks a free one, "0" disables metrics, empty is port 8080
	Pprof                  bool
	LogFormat              string // used by Run only
	LogLevel               string // used by Run only
	AuditLog               string // file for audit events, beside the log; empty for none
	PrintCurl              string // LOGIN:PASSWORD; empty to print nothing

	Manifests  string // folder of manifests; empty to serve a cluster
	StateDir   string
	Namespaces []string // in a cluster

	IssuerURL               string
	TrustedIssuers          string // file; empty: no issuer but that of the cluster
	Audience                []string
	JWTDefaultTTL           time.Duration
	JWTMaximumTTL           time.Duration
	TokenDefaultLifetime    time.Duration
	TokenMaximumLifetime    time.Duration
	SigningAlgorithm        string
	KeyRotationInterval     time.Duration
	FailedAttemptsLockout   int
	LockoutDuration         time.Duration
	PasswordMemoTTL         time.Duration // of the password cache
	PasswordHashConcurrency int
	TrustedProxies          []string
	AdminGroups             []string
	DrainDelay              time.Duration // in a cluster
	MaximumStaleness        time.Duration // in a cluster; 0: serve for ever

	proxies           []netip.Prefix // TrustedProxies, parsed by Validate
	stateDirIsDefault bool           // Validate has chosen StateDir
}

// leastStaleness leaves room for a call or two that fail: the service renews its Lease every 10 s.
const leastStaleness = 30 * time.Second

// NewOptions returns the options with their defaults.
func NewOptions() *Options {
	return &Options{
		Version:                "dev",
		BindAddress:            ":8443",
		HealthProbeBindAddress: ":8081",
		LogFormat:              "json",
		LogLevel:               "info",
		PrintCurl:              "LOGIN:PASSWORD",
		Namespaces:             []string{"gatehouse-users"},
		JWTDefaultTTL:          300 * time.Second,
		JWTMaximumTTL:          86400 * time.Second,
		TokenDefaultLifetime:   time.Hour,
		TokenMaximumLifetime:   10 * duration.Year,
		SigningAlgorithm:       token.ES256,
		KeyRotationInterval:    720 * time.Hour,
		FailedAttemptsLockout:  10,
		LockoutDuration:        30 * time.Minute,
		PasswordMemoTTL:        10 * time.Minute,
		AdminGroups:            []string{"gatehouse-admins"},
		DrainDelay:             5 * time.Second,
	}
}

// Bind adds the flags of gatehouse serve to f. Their defaults are the current values of o.
func (o *Options) Bind(f *pflag.FlagSet) {
	f.StringVar(&o.BindAddress, "bind-address", o.BindAddress, "Address on which to serve HTTPS.")
	f.BoolVar(&o.AllowHTTP, "allow-http", o.AllowHTTP, "Serve plain HTTP. Passwords and tokens are sent unencrypted.")
	f.StringVar(&o.TLSCertDir, "tls-cert-dir", o.TLSCertDir,
		"Folder with tls.crt and tls.key, reloaded when they change. If empty, Gatehouse's own CA issues the certificate.")
	f.StringVar(&o.HealthProbeBindAddress, "health-probe-bind-address", o.HealthProbeBindAddress, "Address on which to serve /healthz and /readyz.")
	f.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress, "Address on which to serve /metrics, or 0 to disable. If empty, :8080 in a cluster or localhost:8080 with --manifests.")
	f.BoolVar(&o.Pprof, "pprof", o.Pprof, "Serve /debug/pprof on the metrics address.")
	f.StringVar(&o.LogFormat, "log-format", o.LogFormat, "Log format: json or text.")
	f.StringVar(&o.LogLevel, "log-level", o.LogLevel, "Log level: debug, info, warn or error. Token checks are logged at debug.")
	f.StringVar(&o.AuditLog, "audit-log", o.AuditLog,
		"File to append audit events to as JSON, beside the log. It is reopened on SIGHUP and when it has been moved.")
	f.Var((*duration.Value)(&o.DrainDelay), "drain-delay",
		"How long to keep accepting requests after SIGTERM, while endpoints are withdrawn. Ignored with --manifests.")
	f.Var((*duration.Value)(&o.MaximumStaleness), "maximum-staleness",
		"How long to serve without a sign of life of the API server, at least 30s, or 0 to serve for ever. After that, answer 503. Ignored with --manifests.")
	o.bindSource(f)
	o.bindTokens(f)
	o.bindPasswords(f)
}

func (o *Options) bindSource(f *pflag.FlagSet) {
	f.StringVar(&o.Manifests, "manifests", o.Manifests, "Folder of User and Secret manifests to serve without a cluster.")
	f.StringVar(&o.StateDir, "state-dir", o.StateDir,
		"With --manifests, folder for keys, the CA and token records. If empty, $XDG_STATE_HOME/gatehouse/NAME or ~/.local/state/gatehouse/NAME, "+
			"where NAME is that of the folder of manifests.")
	f.StringVar(&o.PrintCurl, "print-curl", o.PrintCurl,
		"With --manifests, credentials in the curl commands that are printed at startup. If empty, nothing is printed.")
	f.StringSliceVar(&o.Namespaces, "namespaces", o.Namespaces, "Namespaces whose Users and Secrets to serve.")
	f.StringSliceVar(&o.AdminGroups, "admin-groups", o.AdminGroups, "Groups whose members may list and revoke tokens of other users.")
}

func (o *Options) bindTokens(f *pflag.FlagSet) {
	f.StringVar(&o.IssuerURL, "issuer-url", o.IssuerURL,
		"Issuer of tokens. If empty, https://gatehouse.NAMESPACE.svc in a cluster or https://localhost:PORT with --manifests.")
	f.StringSliceVar(&o.Audience, "audience", o.Audience, "Audience of tokens. If empty, the issuer.")
	f.StringVar(&o.TrustedIssuers, "trusted-issuers", o.TrustedIssuers,
		"File of issuers whose tokens log in, in the form of AuthenticationConfiguration, reloaded when it changes. A cluster's own issuer is always trusted.")
	f.Var((*duration.Value)(&o.JWTDefaultTTL), "jwt-default-ttl", "Lifetime of a JWT if the client does not request one.")
	f.Var((*duration.Value)(&o.JWTMaximumTTL), "jwt-maximum-ttl", "Maximum lifetime of a JWT.")
	f.Var((*duration.Value)(&o.TokenDefaultLifetime), "token-default-lifetime", "Lifetime of an opaque token if the client does not request one.")
	f.Var((*duration.Value)(&o.TokenMaximumLifetime), "token-maximum-lifetime", "Maximum lifetime of an opaque token.")
	f.StringVar(&o.SigningAlgorithm, "signing-algorithm", o.SigningAlgorithm, "Algorithm that signs JWTs: ES256, EdDSA or RS256.")
	f.Var((*duration.Value)(&o.KeyRotationInterval), "key-rotation-interval", "How long a key issues tokens before the next key takes over.")
}

func (o *Options) bindPasswords(f *pflag.FlagSet) {
	f.IntVar(&o.FailedAttemptsLockout, "failed-attempts-lockout", o.FailedAttemptsLockout,
		"Number of consecutive failed logins that locks the network they come from out of a login, or 0 to never lock networks or accounts.")
	f.Var((*duration.Value)(&o.LockoutDuration), "lockout-duration",
		"How long the first lock of a network or an account lasts, or 0 to keep it until it is lifted.")
	f.Var((*duration.Value)(&o.PasswordMemoTTL), "password-memo-ttl",
		"How long after its last use a verified password costs no hash, within a day of its verification, or 0 to hash each time.")
	f.IntVar(&o.PasswordHashConcurrency, "password-hash-concurrency", o.PasswordHashConcurrency,
		"Maximum number of concurrent password hashes, or 0 for three quarters of the CPU cores.")
	f.StringSliceVar(&o.TrustedProxies, "trusted-proxies", o.TrustedProxies, "IP addresses or CIDRs whose X-Forwarded-For headers to trust.")
}

// Validate checks the options, and sets those that are empty and depend on others. The error lists
// all problems.
func (o *Options) Validate() error {
	var errs []error
	addError := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{token.ES256, token.EdDSA, token.RS256}, o.SigningAlgorithm) {
		addError("--signing-algorithm %q is not one of ES256, EdDSA, RS256", o.SigningAlgorithm)
	}
	if o.AllowHTTP && o.TLSCertDir != "" {
		addError("--allow-http and --tls-cert-dir are mutually exclusive")
	}
	if o.StateDir != "" && o.Manifests == "" {
		addError("--state-dir requires --manifests; in a cluster, state is kept in Secrets and Tokens")
	}
	if o.JWTDefaultTTL < time.Second || o.JWTMaximumTTL < o.JWTDefaultTTL {
		addError("--jwt-default-ttl %s must be at least 1s and at most --jwt-maximum-ttl %s", duration.Format(o.JWTDefaultTTL), duration.Format(o.JWTMaximumTTL))
	}
	if o.TokenDefaultLifetime <= 0 || o.TokenMaximumLifetime < o.TokenDefaultLifetime {
		addError("--token-default-lifetime %s must be positive and at most --token-maximum-lifetime %s", duration.Format(o.TokenDefaultLifetime), duration.Format(o.TokenMaximumLifetime))
	}
	if o.KeyRotationInterval < time.Hour {
		addError("--key-rotation-interval %s must be at least 1h: a key is published for 20 minutes before it signs", duration.Format(o.KeyRotationInterval))
	}
	if o.FailedAttemptsLockout < 0 || o.LockoutDuration < 0 || o.PasswordMemoTTL < 0 || o.PasswordHashConcurrency < 0 || o.DrainDelay < 0 {
		addError("--failed-attempts-lockout, --lockout-duration, --password-memo-ttl, --password-hash-concurrency and --drain-delay must not be negative")
	}
	if o.MaximumStaleness != 0 && o.MaximumStaleness < leastStaleness {
		addError("--maximum-staleness %s must be 0 or at least %s: the API server gives a sign of life about every 10s", duration.Format(o.MaximumStaleness), duration.Format(leastStaleness))
	}
	if len(o.Namespaces) == 0 {
		addError("--namespaces must not be empty")
	}
	errs = append(errs, o.readProxies(), o.checkIssuer(), o.checkLogging(), o.checkManifests())
	o.setSourceDefaults()
	return errors.Join(errs...)
}

// setSourceDefaults sets the empty options that depend on whether the service runs in a cluster. There,
// only clients that the cluster authorizes read the metrics; with --manifests, everyone who can connect.
func (o *Options) setSourceDefaults() {
	if o.MetricsBindAddress == "" {
		o.MetricsBindAddress = ":8080"
		if o.Manifests != "" {
			o.MetricsBindAddress = "localhost:8080"
		}
	}
}

// checkManifests returns an error if the folder of manifests is not there, and otherwise sets the
// state folder if it is empty. It writes nothing.
func (o *Options) checkManifests() error {
	if o.Manifests == "" {
		return nil
	}
	info, err := os.Stat(o.Manifests)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--manifests %s: no such folder; name an existing folder of User and Secret manifests", o.Manifests)
	case err != nil:
		return fmt.Errorf("--manifests: %w", err)
	case !info.IsDir():
		return fmt.Errorf("--manifests %s is a file; name the folder that it is in: %s", o.Manifests, filepath.Dir(o.Manifests))
	case o.StateDir != "":
		return nil
	}
	o.stateDirIsDefault = true
	o.StateDir, err = statedir.Default(o.Manifests)
	return err
}

func (o *Options) readProxies() error {
	var errs []error
	for _, text := range o.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--trusted-proxies: %q is not an IP address or a CIDR such as 10.0.0.0/8", text))
			continue
		}
		o.proxies = append(o.proxies, prefix)
	}
	return errors.Join(errs...)
}

func (o *Options) checkIssuer() error {
	if o.IssuerURL == "" {
		return nil
	}
	u, err := url.Parse(o.IssuerURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/") {
		return fmt.Errorf("--issuer-url %q must be an https URL without a query, a fragment or a trailing slash", o.IssuerURL)
	}
	return nil
}

func (o *Options) checkLogging() error {
	var format, levelErr error
	if o.LogFormat != "json" && o.LogFormat != "text" {
		format = fmt.Errorf("--log-format %q is not one of json, text", o.LogFormat)
	}
	var level slog.Level
	if level.UnmarshalText([]byte(o.LogLevel)) != nil {
		levelErr = fmt.Errorf("--log-level %q is not one of debug, info, warn, error", o.LogLevel)
	}
	return errors.Join(format, levelErr)
}

// setIssuerDefaults sets the issuer, and the audience to the issuer, where they are empty.
func (o *Options) setIssuerDefaults(issuer string) {
	if o.IssuerURL == "" {
		o.IssuerURL = issuer
	}
	if len(o.Audience) == 0 {
		o.Audience = []string{o.IssuerURL}
	}
}

func (o *Options) lifetimes() grant.Lifetimes {
	return grant.Lifetimes{
		JWTDefault: o.JWTDefaultTTL, JWTMaximum: o.JWTMaximumTTL,
		OpaqueDefault: o.TokenDefaultLifetime, OpaqueMaximum: o.TokenMaximumLifetime,
	}
}

func (o *Options) keyPolicy() token.Policy {
	return token.Policy{
		Algorithm: o.SigningAlgorithm,
		Interval:  o.KeyRotationInterval,
		Lifetime:  map[token.Use]time.Duration{token.Sign: o.JWTMaximumTTL, token.Seal: o.TokenMaximumLifetime},
	}
}
