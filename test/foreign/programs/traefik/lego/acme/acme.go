// Package acme has the accounts of an ACME server: none.
package acme

// Account is an account at an ACME server.
type Account struct{}

// ExtendedAccount is an account and where it is.
type ExtendedAccount struct {
	Account
	Location string
}
