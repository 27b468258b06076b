// Package v1alpha1 holds the resources of Gatehouse: User and Token.
//
// A User is somebody, a person or a machine, who may log in and get tokens. Its spec belongs to whoever applies it: a login,
// passwords by reference to Secrets, when the account ends, and whether it is revoked. Its status belongs to Gatehouse. A
// Token is the record of one issued token; most tokens have none.
//
// What the schema accepts, the Go types can read: one object that cannot be decoded would fail a whole list, and with it
// every user, so times and durations carry patterns as narrow as Go's own parsers.
//
// +kubebuilder:object:generate=true
// +groupName=auth.gatehouse.dev
package v1alpha1
