package authority_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

var start = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func advance(t *testing.T, a authority.Authority, now time.Time) authority.Authority {
	t.Helper()
	next, err := a.Advance([]string{"localhost", "127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func verify(bundle []byte, certificate *tls.Certificate, name string, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err := certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

func TestLeafIsTrustedForItsNames(t *testing.T) {
	t.Parallel()
	a := advance(t, authority.Authority{}, start)
	leaf := leaves(t, a, "localhost", "127.0.0.1")[0]
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if err := verify(a.Bundle(), leaf, name, start); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(a.Bundle(), leaf, "elsewhere.example", start); err == nil {
		t.Error("a name that the certificate does not have is trusted")
	}
}

func leaves(t *testing.T, a authority.Authority, names ...string) []*tls.Certificate {
	t.Helper()
	out, err := a.Leaves(names, start)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whoever has the key of a CA can issue no certificate that clients trust for another name, and none of a
// client.
func TestStolenCAIsOfNoUseForOtherNames(t *testing.T) {
	t.Parallel()
	a := advance(t, authority.Authority{}, start)
	entries, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(entries[authority.CertificateEntry], entries[authority.KeyEntry])
	if err != nil {
		t.Fatal(err)
	}
	forge := func(usage x509.ExtKeyUsage, change func(*x509.Certificate)) *tls.Certificate {
		t.Helper()
		c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start, NotAfter: start.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{usage}}
		change(c)
		der, err := x509.CreateCertificate(rand.Reader, c, pair.Leaf, pair.Leaf.PublicKey, pair.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Leaf: leaf}
	}
	named := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = names }
	}
	at := func(ip string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP(ip)} }
	}
	if err := verify(a.Bundle(), forge(x509.ExtKeyUsageServerAuth, named("localhost")), "localhost", start); err != nil {
		t.Errorf("a certificate for the own name: %v", err)
	}
	for name, forged := range map[string]*tls.Certificate{
		"another name":         forge(x509.ExtKeyUsageServerAuth, named("bank.example")),
		"another name as well": forge(x509.ExtKeyUsageServerAuth, named("localhost", "bank.example")),
		"another address":      forge(x509.ExtKeyUsageServerAuth, at("192.0.2.1")),
		"another v6 address":   forge(x509.ExtKeyUsageServerAuth, at("2001:db8::1")),
	} {
		if err := verify(a.Bundle(), forged, "", start); err == nil {
			t.Errorf("%s is trusted", name)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.Bundle())
	client := forge(x509.ExtKeyUsageClientAuth, named("localhost"))
	if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("the certificate of a client is trusted")
	}
}

// A server gets a name that its CA may not issue certificates for. Clients that have not read the bundle
// since still trust it by the names that they know.
func TestNewNameComesWithAnotherCA(t *testing.T) {
	t.Parallel()
	first := advance(t, authority.Authority{}, start)
	names := []string{"localhost", "127.0.0.1", "login.example", "192.0.2.7"}
	second, err := first.Advance(names, start)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := second.Advance(names, start); err != nil || !again.Equal(second) {
		t.Errorf("the same names lead to yet another CA, error %v", err)
	}
	if back := advance(t, second, start); !back.Equal(second) {
		t.Error("a replica with fewer names makes another CA")
	}
	source := authority.NewSource(names, func() time.Time { return start })
	if err := source.Use(second); err != nil {
		t.Fatal(err)
	}
	shown := func(name string) *tls.Certificate {
		t.Helper()
		leaf, err := source.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		return leaf
	}
	if err := verify(first.Bundle(), shown("localhost"), "localhost", start); err != nil {
		t.Errorf("a client with the bundle of before: %v", err)
	}
	for _, name := range names {
		asked := name
		if net.ParseIP(name) != nil {
			asked = "" // as clients do
		}
		if name == "127.0.0.1" {
			continue // depends on the address of the connection
		}
		if err := verify(second.Bundle(), shown(asked), name, start); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := leaves(t, second, "localhost"); len(got) != 1 {
		t.Errorf("%d certificates for a name that the first CA may issue them for", len(got))
	}
}

func TestBundleOfChangingNamesIsBounded(t *testing.T) {
	t.Parallel()
	var a authority.Authority
	names := []string{"localhost"}
	for i := range 20 {
		names[0] = fmt.Sprintf("host-%d.example", i)
		var err error
		if a, err = a.Advance(names, start); err != nil {
			t.Fatal(err)
		}
		if err := verify(a.Bundle(), leaves(t, a, names...)[0], names[0], start); err != nil {
			t.Errorf("%s: %v", names[0], err)
		}
	}
	if n := bytes.Count(a.Bundle(), []byte("BEGIN")); n > 4 {
		t.Errorf("the bundle has %d CAs", n)
	}
}

func TestAuthorityEncodeAndParse(t *testing.T) {
	t.Parallel()
	a := advance(t, authority.Authority{}, start)
	entries, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := authority.Parse(entries)
	if err != nil || !back.Equal(a) {
		t.Fatalf("got another authority, error %v", err)
	}
	other, err := advance(t, authority.Authority{}, start).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]map[string][]byte{
		"nothing":               {},
		"no key":                {authority.CertificateEntry: entries[authority.CertificateEntry]},
		"the key of another CA": {authority.CertificateEntry: entries[authority.CertificateEntry], authority.KeyEntry: other[authority.KeyEntry]},
	} {
		if _, err := authority.Parse(broken); err == nil {
			t.Errorf("%s is read as an authority", name)
		}
	}
}

// A client reads the bundle once a month and keeps it; for thirty years it must trust what the
// server shows.
func TestMonthlyReaderOfBundleTrustsServer(t *testing.T) {
	t.Parallel()
	now := start
	source := authority.NewSource([]string{"localhost"}, func() time.Time { return now })
	var a authority.Authority
	var bundle []byte
	for day := range 30 * 365 {
		a = advance(t, a, now)
		if err := source.Use(a); err != nil {
			t.Fatal(err)
		}
		if day%30 == 0 {
			bundle = a.Bundle()
		}
		leaf, err := source.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(bundle, leaf, "localhost", now); err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		now = now.Add(24 * time.Hour)
	}
}

func TestSourceWithoutAuthority(t *testing.T) {
	t.Parallel()
	source := authority.NewSource([]string{"localhost"}, time.Now)
	if _, err := source.GetCertificate(nil); err == nil || !source.NotAfter().IsZero() {
		t.Error("there is a certificate before there is an authority")
	}
}
