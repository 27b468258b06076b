package serve

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Options are the flags of gatehouse serve. Create them with NewOptions and call Validate before they are used.
type Options struct {
	Version string // of the binary, for status, metrics and the log

	BindAddress            string
	AllowHTTP              bool
	TLSCertDir             string
	HealthProbeBindAddress string
	MetricsBindAddress     string
	Pprof                  bool
	LogFormat              string
	LogLevel               string
	PrintCurl              string

	Manifests  string
	StateDir   string
	Namespaces []string

	IssuerURL               string
	Audience                []string
	JWTDefaultTTL           time.Duration
	JWTMaximumTTL           time.Duration
	TokenDefaultLifetime    Lifetime
	TokenMaximumLifetime    Lifetime
	SigningAlgorithm        string
	KeyRotationInterval     time.Duration
	FailedAttemptsLockout   int
	LockoutDuration         time.Duration
	PasswordMemoTTL         time.Duration
	PasswordHashConcurrency int
	TrustedProxies          []string
	AdminGroups             []string
	DrainDelay              time.Duration

	proxies []netip.Prefix // trustedProxies, read by Validate
}

// NewOptions returns the options with their defaults.
func NewOptions() *Options {
	return &Options{
		Version:                "dev",
		BindAddress:            ":8443",
		HealthProbeBindAddress: ":8081",
		MetricsBindAddress:     ":8080",
		LogFormat:              "json",
		LogLevel:               "info",
		PrintCurl:              "LOGIN:PASSWORD",
		Namespaces:             []string{"gatehouse-users"},
		JWTDefaultTTL:          300 * time.Second,
		JWTMaximumTTL:          86400 * time.Second,
		TokenDefaultLifetime:   Lifetime(time.Hour),
		TokenMaximumLifetime:   Lifetime(10 * year),
		SigningAlgorithm:       token.ES256,
		KeyRotationInterval:    720 * time.Hour,
		FailedAttemptsLockout:  10,
		LockoutDuration:        30 * time.Minute,
		PasswordMemoTTL:        10 * time.Minute,
		AdminGroups:            []string{"gatehouse-admins"},
		DrainDelay:             5 * time.Second,
	}
}

// Bind declares the flags, whose defaults are the options as they are.
func (o *Options) Bind(f *pflag.FlagSet) {
	f.StringVar(&o.BindAddress, "bind-address", o.BindAddress, "address of the HTTPS server")
	f.BoolVar(&o.AllowHTTP, "allow-http", o.AllowHTTP, "serve plain HTTP: passwords and tokens travel in the clear")
	f.StringVar(&o.TLSCertDir, "tls-cert-dir", o.TLSCertDir,
		"folder with tls.crt and tls.key, reloaded when they change (default: a certificate of the service's own CA)")
	f.StringVar(&o.HealthProbeBindAddress, "health-probe-bind-address", o.HealthProbeBindAddress, "address of /healthz and /readyz")
	f.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress, "address of /metrics; 0 for none")
	f.BoolVar(&o.Pprof, "pprof", o.Pprof, "serve /debug/pprof on the metrics address")
	f.StringVar(&o.LogFormat, "log-format", o.LogFormat, "json or text")
	f.StringVar(&o.LogLevel, "log-level", o.LogLevel, "debug, info, warn or error; debug logs every check of a token")
	f.DurationVar(&o.DrainDelay, "drain-delay", o.DrainDelay,
		"how long requests are still accepted after SIGTERM, while endpoints are withdrawn; 0 with --manifests")
	o.bindSource(f)
	o.bindTokens(f)
	o.bindPasswords(f)
}

func (o *Options) bindSource(f *pflag.FlagSet) {
	f.StringVar(&o.Manifests, "manifests", o.Manifests, "serve the User and Secret manifests of this folder, without a cluster")
	f.StringVar(&o.StateDir, "state-dir", o.StateDir,
		"folder for keys, certificate and token records, with --manifests (default: .gatehouse in the manifests' folder)")
	f.StringVar(&o.PrintCurl, "print-curl", o.PrintCurl, "credentials in the commands that are printed at start, with --manifests")
	f.StringSliceVar(&o.Namespaces, "namespaces", o.Namespaces, "namespaces whose Users and Secrets are served")
	f.StringSliceVar(&o.AdminGroups, "admin-groups", o.AdminGroups, "groups whose members may list and revoke the tokens of others")
}

func (o *Options) bindTokens(f *pflag.FlagSet) {
	f.StringVar(&o.IssuerURL, "issuer-url", o.IssuerURL,
		"issuer of the tokens (default https://gatehouse.NAMESPACE.svc in a cluster, https://localhost:PORT with --manifests)")
	f.StringSliceVar(&o.Audience, "audience", o.Audience, "audience of the tokens (default: the issuer)")
	f.DurationVar(&o.JWTDefaultTTL, "jwt-default-ttl", o.JWTDefaultTTL, "lifetime of a JWT when the client asks for none")
	f.DurationVar(&o.JWTMaximumTTL, "jwt-maximum-ttl", o.JWTMaximumTTL, "longest lifetime of a JWT")
	f.Var(&o.TokenDefaultLifetime, "token-default-lifetime", "lifetime of an opaque token when the client asks for none")
	f.Var(&o.TokenMaximumLifetime, "token-maximum-lifetime", "longest lifetime of an opaque token")
	f.StringVar(&o.SigningAlgorithm, "signing-algorithm", o.SigningAlgorithm, "ES256, EdDSA or RS256")
	f.DurationVar(&o.KeyRotationInterval, "key-rotation-interval", o.KeyRotationInterval, "how long a key issues tokens before the next one takes over")
}

func (o *Options) bindPasswords(f *pflag.FlagSet) {
	f.IntVar(&o.FailedAttemptsLockout, "failed-attempts-lockout", o.FailedAttemptsLockout, "failed logins in a row that lock an account; 0 for never")
	f.DurationVar(&o.LockoutDuration, "lockout-duration", o.LockoutDuration, "how long a lock lasts; 0 for until it is lifted")
	f.DurationVar(&o.PasswordMemoTTL, "password-memo-ttl", o.PasswordMemoTTL, "how long a verified password is remembered and costs no hash; 0 for not at all")
	f.IntVar(&o.PasswordHashConcurrency, "password-hash-concurrency", o.PasswordHashConcurrency,
		"password hashes that are computed at once; 0 for three quarters of the cores")
	f.StringSliceVar(&o.TrustedProxies, "trusted-proxies", o.TrustedProxies, "addresses or networks whose X-Forwarded-For is believed")
}

// Validate checks the flags against one another and fills in the defaults that depend on others. All that is wrong is said
// at once.
func (o *Options) Validate() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{token.ES256, token.EdDSA, token.RS256}, o.SigningAlgorithm) {
		complain("--signing-algorithm %q is not one of ES256, EdDSA, RS256", o.SigningAlgorithm)
	}
	if o.AllowHTTP && o.TLSCertDir != "" {
		complain("--allow-http and --tls-cert-dir exclude one another")
	}
	if o.StateDir != "" && o.Manifests == "" {
		complain("--state-dir goes with --manifests; in a cluster state is kept in its Secrets and Tokens")
	}
	if o.JWTDefaultTTL < time.Second || o.JWTMaximumTTL < o.JWTDefaultTTL {
		complain("--jwt-default-ttl %s must be at least 1s and at most --jwt-maximum-ttl %s", o.JWTDefaultTTL, o.JWTMaximumTTL)
	}
	if o.TokenDefaultLifetime <= 0 || o.TokenMaximumLifetime < o.TokenDefaultLifetime {
		complain("--token-default-lifetime %s must be positive and at most --token-maximum-lifetime %s", &o.TokenDefaultLifetime, &o.TokenMaximumLifetime)
	}
	if o.KeyRotationInterval < time.Hour {
		complain("--key-rotation-interval %s is shorter than 1h: a key is published for 20 minutes before it signs", o.KeyRotationInterval)
	}
	if o.FailedAttemptsLockout < 0 || o.LockoutDuration < 0 || o.PasswordMemoTTL < 0 || o.PasswordHashConcurrency < 0 || o.DrainDelay < 0 {
		complain("--failed-attempts-lockout, --lockout-duration, --password-memo-ttl, --password-hash-concurrency and --drain-delay must not be negative")
	}
	if len(o.Namespaces) == 0 {
		complain("--namespaces names no namespace")
	}
	errs = append(errs, o.readProxies(), o.checkIssuer(), o.checkLogging())
	if o.Manifests != "" && o.StateDir == "" {
		o.StateDir = filepath.Join(o.Manifests, ".gatehouse")
	}
	return errors.Join(errs...)
}

func (o *Options) readProxies() error {
	for _, text := range o.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return fmt.Errorf("--trusted-proxies: %q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		o.proxies = append(o.proxies, prefix)
	}
	return nil
}

func (o *Options) checkIssuer() error {
	if o.IssuerURL == "" {
		return nil
	}
	u, err := url.Parse(o.IssuerURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/") {
		return fmt.Errorf("--issuer-url %q is not an https URL without a query, a fragment and a slash at its end", o.IssuerURL)
	}
	return nil
}

func (o *Options) checkLogging() error {
	if o.LogFormat != "json" && o.LogFormat != "text" {
		return fmt.Errorf("--log-format %q is neither json nor text", o.LogFormat)
	}
	var level slog.Level
	if level.UnmarshalText([]byte(o.LogLevel)) != nil {
		return fmt.Errorf("--log-level %q is not one of debug, info, warn, error", o.LogLevel)
	}
	return nil
}

// settle fills in issuer and audience where nobody gave them.
func (o *Options) settle(issuer string) {
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
		OpaqueDefault: time.Duration(o.TokenDefaultLifetime), OpaqueMaximum: time.Duration(o.TokenMaximumLifetime),
	}
}

func (o *Options) keyPolicy() token.Policy {
	return token.Policy{
		Algorithm: o.SigningAlgorithm,
		Interval:  o.KeyRotationInterval,
		Lifetime:  map[token.Use]time.Duration{token.Sign: o.JWTMaximumTTL, token.Seal: time.Duration(o.TokenMaximumLifetime)},
	}
}

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// Lifetime is a flag that takes a Go duration or whole days or years: 90m, 30d, 10y.
type Lifetime time.Duration

var daysOrYears = regexp.MustCompile(`^([0-9]{1,6})([dy])$`)

// Set implements pflag.Value.
func (l *Lifetime) Set(text string) error {
	if m := daysOrYears.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // six digits
		unit := map[string]time.Duration{"d": day, "y": year}[m[2]]
		if time.Duration(n) > 100*year/unit {
			return errors.New("more than 100 years")
		}
		*l = Lifetime(time.Duration(n) * unit)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("not a duration such as 90m, 30d or 10y")
	}
	*l = Lifetime(d)
	return nil
}

// String implements pflag.Value.
func (l *Lifetime) String() string {
	switch d := time.Duration(*l); {
	case d > 0 && d%year == 0:
		return strconv.Itoa(int(d/year)) + "y"
	case d > 0 && d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	default:
		return d.String()
	}
}

// Type implements pflag.Value.
func (l *Lifetime) Type() string { return "lifetime" }
