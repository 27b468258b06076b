package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

var start = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func advance(t *testing.T, a authority.Authority, now time.Time) authority.Authority {
	t.Helper()
	next, err := a.Advance(now)
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
	leaf, err := a.Leaf([]string{"localhost", "127.0.0.1"}, start)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if err := verify(a.Bundle(), leaf, name, start); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(a.Bundle(), leaf, "elsewhere.example", start); err == nil {
		t.Error("a name that the certificate does not have is trusted")
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
