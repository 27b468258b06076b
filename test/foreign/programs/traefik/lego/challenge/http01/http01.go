// Package http01 has the options of the HTTP challenge, which does not exist here.
package http01

import "time"

// PathPrefix is where ACME servers look.
const PathPrefix = "/.well-known/acme-challenge/"

// Option is an option of the challenge.
type Option struct{}

// SetDelay returns no option.
func SetDelay(time.Duration) Option { return Option{} }
