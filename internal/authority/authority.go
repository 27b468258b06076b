// Package authority is the service's own certificate authority, for clusters and laptops where no
// one mounts a certificate: clients trust one CA, and every replica issues its own server
// certificate with it.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// The lifetimes of certificates. The bundle has a new CA for a year before that CA starts to issue,
// so that clients who read the bundle now and then never see a certificate that they do not trust.
const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	publishAhead = 2 * 365 * 24 * time.Hour // the next CA enters the bundle this long before a CA ends
	takeOver     = 365 * 24 * time.Hour     // the next CA starts to issue this long before a CA ends
	leafLifetime = 90 * 24 * time.Hour
	leafRenewal  = 30 * 24 * time.Hour // a server certificate is replaced this long before it ends
	backdating   = 5 * time.Minute     // for clients whose clocks are behind
)

// maximumCAs bounds the bundle of a server whose names change again and again.
const maximumCAs = 4

// The names of the entries that hold an Authority.
const (
	CertificateEntry = "ca.crt" // PEM; clients trust these certificates
	KeyEntry         = "ca.key" // PEM; keys in the order of the certificates
)

// Authority is one CA, or several: one that takes over from another, or that may have names that another
// may not. It is an immutable value.
type Authority struct {
	pairs []pair // the oldest first
}

type pair struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// Advance returns the authority as it should be at now, for a server with these DNS names and IP
// addresses: it drops CAs that have ended and adds the next one when it is due, or when there is a name
// that the youngest may not issue certificates for. The zero Authority gets its first CA. Every replica
// may call Advance; the first to store the result wins.
func (a Authority) Advance(names []string, now time.Time) (Authority, error) {
	next := Authority{pairs: slices.DeleteFunc(slices.Clone(a.pairs), func(p pair) bool { return !now.Before(p.certificate.NotAfter) })}
	if n := len(next.pairs); n > 0 && next.pairs[n-1].certificate.NotAfter.Sub(now) > publishAhead {
		youngest := next.pairs[n-1].certificate
		if len(permitted(youngest, names)) == len(names) {
			return next, nil
		}
		names = append(slices.Clone(names), constraints(youngest)...) // other replicas may need those
	}
	p, err := newCA(names, now)
	if err != nil {
		return a, err
	}
	next.pairs = append(next.pairs, p)
	next.pairs = next.pairs[max(0, len(next.pairs)-maximumCAs):]
	return next, nil
}

// Equal reports whether both have the same CAs.
func (a Authority) Equal(b Authority) bool {
	return slices.EqualFunc(a.pairs, b.pairs, func(x, y pair) bool { return x.certificate.Equal(y.certificate) })
}

// Bundle returns the certificates to trust, as PEM.
func (a Authority) Bundle() []byte {
	var out []byte
	for _, p := range a.pairs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw})...)
	}
	return out
}

// Encode returns the authority, with its private keys, as entries by name.
func (a Authority) Encode() (map[string][]byte, error) {
	var keys []byte
	for _, p := range a.pairs {
		der, err := x509.MarshalPKCS8PrivateKey(p.key)
		if err != nil {
			return nil, fmt.Errorf("encode the key of the CA: %w", err)
		}
		keys = append(keys, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	return map[string][]byte{CertificateEntry: a.Bundle(), KeyEntry: keys}, nil
}

// Parse reads an authority from its entries. A certificate without its key is an error: anyone who
// replaces one entry by hand must replace both.
func Parse(entries map[string][]byte) (Authority, error) {
	certificates, err := blocks(entries[CertificateEntry], CertificateEntry, x509.ParseCertificate)
	if err != nil {
		return Authority{}, err
	}
	keys, err := blocks(entries[KeyEntry], KeyEntry, x509.ParsePKCS8PrivateKey)
	if err != nil {
		return Authority{}, err
	}
	if len(certificates) == 0 || len(certificates) != len(keys) {
		return Authority{}, fmt.Errorf("%d certificates in %s and %d keys in %s; each certificate needs its key", len(certificates), CertificateEntry, len(keys), KeyEntry)
	}
	var a Authority
	for i, certificate := range certificates {
		key, ok := keys[i].(*ecdsa.PrivateKey)
		if !ok || !key.PublicKey.Equal(certificate.PublicKey) || !certificate.IsCA {
			return Authority{}, fmt.Errorf("certificate %d in %s is not a CA, or key %d in %s is not its ECDSA key", i+1, CertificateEntry, i+1, KeyEntry)
		}
		a.pairs = append(a.pairs, pair{certificate, key})
	}
	return a, nil
}

// blocks parses every PEM block of an entry.
func blocks[T any](text []byte, entry string, parse func([]byte) (T, error)) ([]T, error) {
	var out []T
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out, nil
		}
		v, err := parse(block.Bytes)
		if err != nil {
			// The error of the parser may describe a private key, so it is not wrapped.
			return nil, fmt.Errorf("PEM block %d of %s cannot be parsed", len(out)+1, entry)
		}
		out = append(out, v)
	}
}

// Leaves issues server certificates for DNS names and IP addresses: one of the CA that issues at now,
// and, if that may not have all the names, others of younger CAs. The zero Authority cannot issue any.
func (a Authority) Leaves(names []string, now time.Time) ([]*tls.Certificate, error) {
	var leaves []*tls.Certificate
	missing := slices.Clone(names)
	for _, ca := range a.issuing(now) {
		own := permitted(ca.certificate, names)
		before := len(missing)
		missing = slices.DeleteFunc(missing, func(name string) bool { return slices.Contains(own, name) })
		if len(missing) == before {
			continue
		}
		leaf, err := ca.issue(own, now)
		if err != nil {
			return nil, fmt.Errorf("make a server certificate: %w", err)
		}
		leaves = append(leaves, leaf)
	}
	if len(leaves) == 0 {
		return nil, errors.New("no CA to issue a certificate with")
	}
	return leaves, nil
}

// Single returns a server certificate for DNS names and IP addresses, and the certificate of the CA that
// was made for it alone, as PEM.
func Single(names []string, now time.Time) (leaf *tls.Certificate, bundle []byte, err error) {
	a, err := Authority{}.Advance(names, now)
	if err != nil {
		return nil, nil, err
	}
	leaves, err := a.Leaves(names, now)
	if err != nil {
		return nil, nil, err
	}
	return leaves[0], a.Bundle(), nil
}

// issuing returns the CAs in the order in which they issue: first the oldest that does not end within
// takeOver, or else the youngest.
func (a Authority) issuing(now time.Time) []pair {
	for i, p := range a.pairs {
		if p.certificate.NotAfter.Sub(now) > takeOver {
			return a.pairs[i:]
		}
	}
	return a.pairs[max(0, len(a.pairs)-1):]
}

func (p pair) issue(names []string, now time.Time) (*tls.Certificate, error) {
	key, template, err := newCertificate("gatehouse", now, leafLifetime)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.certificate, key.Public(), p.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// newCA returns a CA that can issue certificates of servers with these names only, so that whoever steals
// its key cannot stand in for others.
func newCA(names []string, now time.Time) (pair, error) {
	key, template, err := newCertificate("gatehouse CA "+now.UTC().Format(time.DateOnly), now, caLifetime)
	if err != nil {
		return pair{}, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	constrain(template, names)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return pair{}, fmt.Errorf("make a CA: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, fmt.Errorf("make a CA: %w", err)
	}
	return pair{certificate, key}, nil
}

func newCertificate(name string, now time.Time, lifetime time.Duration) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return key, &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdating),
		NotAfter:     now.Add(lifetime),
	}, nil
}
