// Package controllers carries what people declare into the directory, and what the service knows into status.
//
// The rule of the package: memory never waits for the API server, and status never touches memory. UserReconciler and
// TokenReconciler fill the directory on every replica and write nothing about users to the API. UserStatusReconciler computes
// conditions on every replica alike, and the first one to write wins. There is no leader.
package controllers
