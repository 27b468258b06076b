package authority

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"
)

// Source serves a certificate that it makes from an Authority. It makes a new one before that ends
// and when the authority changes. Create it with NewSource. It is safe for concurrent use.
type Source struct {
	names []string
	now   func() time.Time

	mu        sync.RWMutex
	authority Authority
	leaf      *tls.Certificate
}

// NewSource returns a Source for DNS names and IP addresses that has no authority yet.
func NewSource(names []string, now func() time.Time) *Source { return &Source{names: names, now: now} }

// Use replaces the authority. The Source no longer serves a certificate of another one.
func (s *Source) Use(a Authority) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaf != nil && s.authority.Equal(a) {
		return nil
	}
	s.authority = a
	return s.renew()
}

// GetCertificate serves as tls.Config.GetCertificate. It returns an error until there is an
// authority.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	leaf := s.leaf
	s.mu.RUnlock()
	if leaf == nil {
		return nil, errors.New("no server certificate yet; try again soon")
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

// NotAfter returns the end of the certificate that the Source serves, or the zero time if there is
// none.
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
