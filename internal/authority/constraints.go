package authority

import (
	"bytes"
	"crypto/x509"
	"net"
	"slices"
	"strings"
)

// constrain makes a CA one for these DNS names and IP addresses only: the name constraints of RFC 5280,
// 4.2.1.10, of which those for a DNS name include its subdomains.
func constrain(ca *x509.Certificate, names []string) {
	ca.PermittedDNSDomainsCritical = true
	for _, name := range names {
		ip := net.ParseIP(name)
		switch {
		case ip == nil && !slices.Contains(ca.PermittedDNSDomains, name):
			ca.PermittedDNSDomains = append(ca.PermittedDNSDomains, name)
		case ip != nil && !slices.ContainsFunc(ca.PermittedIPRanges, func(r *net.IPNet) bool { return r.IP.Equal(ip) }):
			if short := ip.To4(); short != nil {
				ip = short
			}
			ca.PermittedIPRanges = append(ca.PermittedIPRanges, &net.IPNet{IP: ip, Mask: bytes.Repeat([]byte{0xff}, len(ip))})
		}
	}
	// Without a range, any IP address would do, and without a domain any name.
	if len(ca.PermittedIPRanges) == 0 {
		ca.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: make([]byte, net.IPv4len)}, {IP: net.IPv6zero, Mask: make([]byte, net.IPv6len)},
		}
	}
	if len(ca.PermittedDNSDomains) == 0 {
		ca.PermittedDNSDomains = []string{"invalid"} // no such host can exist: RFC 6761, 6.4
	}
}

// constraints returns the names of the constraints of a CA.
func constraints(ca *x509.Certificate) []string {
	names := slices.Clone(ca.PermittedDNSDomains)
	for _, r := range ca.PermittedIPRanges {
		names = append(names, r.IP.String())
	}
	return names
}

// permitted returns those of the names for which a CA may issue certificates. A CA without constraints
// may for all.
func permitted(ca *x509.Certificate, names []string) []string {
	if len(ca.PermittedDNSDomains)+len(ca.PermittedIPRanges) == 0 {
		return names
	}
	var out []string
	for _, name := range names {
		ip := net.ParseIP(name)
		if ip == nil && slices.ContainsFunc(ca.PermittedDNSDomains, func(domain string) bool { return within(name, domain) }) ||
			ip != nil && slices.ContainsFunc(ca.PermittedIPRanges, func(r *net.IPNet) bool { return r.Contains(ip) }) {
			out = append(out, name)
		}
	}
	return out
}

// within reports whether a DNS name is a domain or in it.
func within(name, domain string) bool {
	name, domain = strings.ToLower(name), strings.ToLower(domain)
	return name == domain || strings.HasSuffix(name, "."+domain)
}
