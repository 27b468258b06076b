package authority

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// Source serves certificates that it makes from an Authority. It makes new ones before they end and
// when the authority changes. Create it with NewSource. It is safe for concurrent use.
type Source struct {
	names []string
	now   func() time.Time

	mu        sync.RWMutex
	authority Authority
	leaves    []*tls.Certificate // as Authority.Leaves returns them
}

// NewSource returns a Source for DNS names and IP addresses that has no authority yet.
func NewSource(names []string, now func() time.Time) *Source { return &Source{names: names, now: now} }

// Names returns the DNS names and IP addresses.
func (s *Source) Names() []string { return s.names }

// Use replaces the authority. The Source no longer serves a certificate of another one.
func (s *Source) Use(a Authority) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaves != nil && s.authority.Equal(a) {
		return nil
	}
	s.authority = a
	return s.renew()
}

// GetCertificate serves as tls.Config.GetCertificate. It returns an error until there is an
// authority.
func (s *Source) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	leaves := s.leaves
	s.mu.RUnlock()
	if leaves == nil {
		return nil, errors.New("no server certificate yet; try again soon")
	}
	if end(leaves).Sub(s.now()) > leafRenewal {
		return choose(leaves, hello), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaves[0] == leaves[0] {
		if err := s.renew(); err != nil {
			return choose(leaves, hello), nil
		}
	}
	return choose(s.leaves, hello), nil
}

// choose returns the first certificate that has the name by which a client calls the server, or else the
// last one. A client that calls it by an IP address does not send that.
func choose(leaves []*tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(leaves) > 1 && hello != nil {
		name := hello.ServerName
		if name == "" && hello.Conn != nil {
			name, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
		}
		for _, leaf := range leaves {
			if leaf.Leaf.VerifyHostname(name) == nil {
				return leaf
			}
		}
	}
	return leaves[len(leaves)-1]
}

// NotAfter returns the end of the first of the certificates that ends, or the zero time if there is
// none.
func (s *Source) NotAfter() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.leaves == nil {
		return time.Time{}
	}
	return end(s.leaves)
}

// end returns when the first of the certificates ends.
func end(leaves []*tls.Certificate) time.Time {
	first := leaves[0].Leaf.NotAfter
	for _, leaf := range leaves[1:] {
		if leaf.Leaf.NotAfter.Before(first) {
			first = leaf.Leaf.NotAfter
		}
	}
	return first
}

// renew makes new certificates. The caller holds mu.
func (s *Source) renew() error {
	leaves, err := s.authority.Leaves(s.names, s.now())
	if err != nil {
		return err
	}
	s.leaves = leaves
	return nil
}
