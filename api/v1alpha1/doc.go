// Package v1alpha1 holds the resources of Gatehouse: User, Token, Revocation and Tenant.
//
// A User is a person or a machine that may log in and get tokens. Its spec belongs to the person
// who applies it: a login, references to Secrets with passwords, the end of the account, and
// whether it is revoked. Its status belongs to Gatehouse. A Token is the record of one issued
// token; most tokens have none. A Revocation revokes a User without touching it.
//
// The Go types can read everything that the schema accepts. A single object that cannot be decoded
// would fail a whole list, and with it every user, so the patterns of times and durations are as
// narrow as Go's own parsers.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=auth.gatehouse.dev
package v1alpha1
