// Package dns01 has the options of the DNS challenge, which does not exist here.
package dns01

import (
	"strings"
	"time"
)

// Option is an option of the challenge.
type Option struct{}

// Options are those of a client of name servers.
type Options struct{ RecursiveNameservers []string }

// Client asks name servers.
type Client struct{}

// NewClient returns a client.
func NewClient(*Options) *Client { return &Client{} }

// SetDefaultClient has no effect.
func SetDefaultClient(*Client) {}

// CondOptions returns no option.
func CondOptions(bool, ...Option) Option { return Option{} }

// DisableAuthoritativeNssPropagationRequirement returns no option.
func DisableAuthoritativeNssPropagationRequirement() Option { return Option{} }

// DisableRecursiveNSsPropagationRequirement returns no option.
func DisableRecursiveNSsPropagationRequirement() Option { return Option{} }

// PropagationWait returns no option.
func PropagationWait(time.Duration, bool) Option { return Option{} }

// UnFqdn returns a name without the dot at its end.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
