package authority

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"
)

// Source serves a certificate made from an Authority, and makes a new one in time and whenever the authority changes. Create
// it with NewSource. It is safe for concurrent use.
type Source struct {
	names []string
	now   func() time.Time

	mu        sync.RWMutex
	authority Authority
	leaf      *tls.Certificate
}

// NewSource returns a source for DNS names and IP addresses that has no authority yet.
func NewSource(names []string, now func() time.Time) *Source { return &Source{names: names, now: now} }

// Use puts an authority in force: ones made from another are served no more.
func (s *Source) Use(a Authority) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaf != nil && s.authority.Equal(a) {
		return nil
	}
	s.authority = a
	return s.renew()
}

// GetCertificate is for tls.Config. It fails until there is an authority.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	leaf := s.leaf
	s.mu.RUnlock()
	if leaf == nil {
		return nil, errors.New("there is no certificate yet")
	}
	if leaf.Leaf.NotAfter.Sub(s.now()) > leafRenewal {
		return leaf, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaf == leaf {
		if err := s.renew(); err != nil {
			return leaf, nil
		}
	}
	return s.leaf, nil
}

// NotAfter returns when the certificate that is served ends, zero when there is none.
func (s *Source) NotAfter() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.leaf == nil {
		return time.Time{}
	}
	return s.leaf.Leaf.NotAfter
}

// renew makes a new certificate. The caller holds mu.
func (s *Source) renew() error {
	leaf, err := s.authority.Leaf(s.names, s.now())
	if err != nil {
		return err
	}
	s.leaf = leaf
	return nil
}
