package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
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

// options are the flags of gatehouse serve.
type options struct {
	bindAddress   string
	allowHTTP     bool
	tlsCertDir    string
	healthAddress string
	metricsAddr   string
	pprof         bool
	logFormat     string
	logLevel      string
	printCurl     string

	manifests  string
	stateDir   string
	namespaces []string

	issuerURL       string
	audience        []string
	jwtDefault      time.Duration
	jwtMaximum      time.Duration
	opaqueDefault   lifetime
	opaqueMaximum   lifetime
	algorithm       string
	keyRotation     time.Duration
	lockAfter       int
	lockDuration    time.Duration
	memoTTL         time.Duration
	hashConcurrency int
	trustedProxies  []string
	adminGroups     []string
	drainDelay      time.Duration

	proxies []netip.Prefix // trustedProxies, read by validate
}

// bind declares the flags with their defaults.
func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.bindAddress, "bind-address", ":8443", "address of the HTTPS server")
	f.BoolVar(&o.allowHTTP, "allow-http", false, "serve plain HTTP: passwords and tokens travel in the clear")
	f.StringVar(&o.tlsCertDir, "tls-cert-dir", "", "folder with tls.crt and tls.key, reloaded when they change (default: a certificate of the service's own CA)")
	f.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	f.StringVar(&o.metricsAddr, "metrics-bind-address", ":8080", "address of /metrics; 0 for none")
	f.BoolVar(&o.pprof, "pprof", false, "serve /debug/pprof on the metrics address")
	f.StringVar(&o.logFormat, "log-format", "json", "json or text")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error; debug logs every check of a token")

	f.StringVar(&o.printCurl, "print-curl", "LOGIN:PASSWORD", "credentials in the commands that are printed at start, with --manifests")

	f.StringVar(&o.manifests, "manifests", "", "serve the User and Secret manifests of this folder, without a cluster")
	f.StringVar(&o.stateDir, "state-dir", "", "folder for keys, certificate and token records, with --manifests (default: .gatehouse in the manifests' folder)")
	f.StringSliceVar(&o.namespaces, "namespaces", []string{"gatehouse-users"}, "namespaces whose Users and Secrets are served")

	f.StringVar(&o.issuerURL, "issuer-url", "", "issuer of the tokens (default https://gatehouse.NAMESPACE.svc in a cluster, https://localhost:PORT with --manifests)")
	f.StringSliceVar(&o.audience, "audience", nil, "audience of the tokens (default: the issuer)")
	f.DurationVar(&o.jwtDefault, "jwt-default-ttl", 300*time.Second, "lifetime of a JWT when the client asks for none")
	f.DurationVar(&o.jwtMaximum, "jwt-maximum-ttl", 86400*time.Second, "longest lifetime of a JWT")
	o.opaqueDefault, o.opaqueMaximum = lifetime(time.Hour), lifetime(10*year)
	f.Var(&o.opaqueDefault, "token-default-lifetime", "lifetime of an opaque token when the client asks for none")
	f.Var(&o.opaqueMaximum, "token-maximum-lifetime", "longest lifetime of an opaque token")
	f.StringVar(&o.algorithm, "signing-algorithm", token.ES256, "ES256, EdDSA or RS256")
	f.DurationVar(&o.keyRotation, "key-rotation-interval", 720*time.Hour, "how long a key issues tokens before the next one takes over")
	f.IntVar(&o.lockAfter, "failed-attempts-lockout", 10, "failed logins in a row that lock an account; 0 for never")
	f.DurationVar(&o.lockDuration, "lockout-duration", 30*time.Minute, "how long a lock lasts; 0 for until it is lifted")
	f.DurationVar(&o.memoTTL, "password-memo-ttl", 10*time.Minute, "how long a verified password is remembered and costs no hash; 0 for not at all")
	f.IntVar(&o.hashConcurrency, "password-hash-concurrency", 0, "password hashes that are computed at once; 0 for three quarters of the cores")
	f.StringSliceVar(&o.trustedProxies, "trusted-proxies", nil, "addresses or networks whose X-Forwarded-For is believed")
	f.StringSliceVar(&o.adminGroups, "admin-groups", []string{"gatehouse-admins"}, "groups whose members may list and revoke the tokens of others")
	f.DurationVar(&o.drainDelay, "drain-delay", 5*time.Second, "how long requests are still taken after SIGTERM, while endpoints are withdrawn; with --manifests 0")
}

// validate checks the flags against one another and fills in the defaults that depend on others. All that is wrong is said
// at once.
func (o *options) validate() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{token.ES256, token.EdDSA, token.RS256}, o.algorithm) {
		complain("--signing-algorithm %q is not one of ES256, EdDSA, RS256", o.algorithm)
	}
	if o.allowHTTP && o.tlsCertDir != "" {
		complain("--allow-http and --tls-cert-dir exclude one another")
	}
	if o.stateDir != "" && o.manifests == "" {
		complain("--state-dir goes with --manifests; in a cluster state is kept in its Secrets and Tokens")
	}
	if o.jwtDefault < time.Second || o.jwtMaximum < o.jwtDefault {
		complain("--jwt-default-ttl %s must be at least 1s and at most --jwt-maximum-ttl %s", o.jwtDefault, o.jwtMaximum)
	}
	if o.opaqueDefault <= 0 || o.opaqueMaximum < o.opaqueDefault {
		complain("--token-default-lifetime %s must be positive and at most --token-maximum-lifetime %s", &o.opaqueDefault, &o.opaqueMaximum)
	}
	if o.keyRotation < time.Hour {
		complain("--key-rotation-interval %s is shorter than 1h: a key is published for 20 minutes before it signs", o.keyRotation)
	}
	if o.lockAfter < 0 || o.lockDuration < 0 || o.memoTTL < 0 || o.hashConcurrency < 0 || o.drainDelay < 0 {
		complain("--failed-attempts-lockout, --lockout-duration, --password-memo-ttl, --password-hash-concurrency and --drain-delay must not be negative")
	}
	if len(o.namespaces) == 0 {
		complain("--namespaces names no namespace")
	}
	errs = append(errs, o.readProxies(), o.checkIssuer(), o.checkLogging())
	if o.manifests != "" && o.stateDir == "" {
		o.stateDir = filepath.Join(o.manifests, ".gatehouse")
	}
	return errors.Join(errs...)
}

func (o *options) readProxies() error {
	for _, text := range o.trustedProxies {
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

func (o *options) checkIssuer() error {
	if o.issuerURL == "" {
		return nil
	}
	u, err := url.Parse(o.issuerURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/") {
		return fmt.Errorf("--issuer-url %q is not an https URL without a query, a fragment and a slash at its end", o.issuerURL)
	}
	return nil
}

func (o *options) checkLogging() error {
	if o.logFormat != "json" && o.logFormat != "text" {
		return fmt.Errorf("--log-format %q is neither json nor text", o.logFormat)
	}
	var level slog.Level
	if level.UnmarshalText([]byte(o.logLevel)) != nil {
		return fmt.Errorf("--log-level %q is not one of debug, info, warn, error", o.logLevel)
	}
	return nil
}

// settle fills in issuer and audience where nobody gave them.
func (o *options) settle(issuer string) {
	if o.issuerURL == "" {
		o.issuerURL = issuer
	}
	if len(o.audience) == 0 {
		o.audience = []string{o.issuerURL}
	}
}

// port of the HTTPS server.
func (o *options) port() string {
	_, port, err := net.SplitHostPort(o.bindAddress)
	if err != nil {
		return o.bindAddress
	}
	return port
}

func (o *options) lifetimes() grant.Lifetimes {
	return grant.Lifetimes{
		JWTDefault: o.jwtDefault, JWTMaximum: o.jwtMaximum,
		OpaqueDefault: time.Duration(o.opaqueDefault), OpaqueMaximum: time.Duration(o.opaqueMaximum),
	}
}

func (o *options) keyPolicy() token.Policy {
	return token.Policy{
		Algorithm: o.algorithm,
		Interval:  o.keyRotation,
		Lifetime:  map[token.Use]time.Duration{token.Sign: o.jwtMaximum, token.Seal: time.Duration(o.opaqueMaximum)},
	}
}

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// lifetime is a flag that takes a Go duration or whole days or years: 90m, 30d, 10y.
type lifetime time.Duration

var daysOrYears = regexp.MustCompile(`^([0-9]{1,6})([dy])$`)

// Set implements pflag.Value.
func (l *lifetime) Set(text string) error {
	if m := daysOrYears.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // six digits
		unit := map[string]time.Duration{"d": day, "y": year}[m[2]]
		if time.Duration(n) > 100*year/unit {
			return errors.New("more than 100 years")
		}
		*l = lifetime(time.Duration(n) * unit)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("not a duration such as 90m, 30d or 10y")
	}
	*l = lifetime(d)
	return nil
}

// String implements pflag.Value.
func (l *lifetime) String() string {
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
func (l *lifetime) Type() string { return "lifetime" }
