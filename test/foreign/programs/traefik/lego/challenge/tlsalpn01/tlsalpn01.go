// Package tlsalpn01 has the options of the TLS challenge, which does not exist here.
package tlsalpn01

import (
	"errors"
	"time"
)

// ACMETLS1Protocol is the protocol that ACME servers negotiate.
const ACMETLS1Protocol = "acme-tls/1"

// Option is an option of the challenge.
type Option struct{}

// SetDelay returns no option.
func SetDelay(time.Duration) Option { return Option{} }

// ChallengeBlocks returns an error.
func ChallengeBlocks(string, string) (certificate, key []byte, err error) {
	return nil, nil, errors.New("this build has no ACME")
}
