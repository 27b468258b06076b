// Package registration describes a new account at an ACME server.
package registration

// RegisterOptions describe a new account.
type RegisterOptions struct{ TermsOfServiceAgreed bool }

// RegisterEABOptions describe a new account that belongs to an existing one elsewhere.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid, HmacEncoded     string
}
