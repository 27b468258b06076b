// Package controllers brings declared Users, Secrets and Tokens into the directory, and what the
// service knows about users into the status of Users.
//
// The rule of the package: memory never waits for the API server, and status never changes memory.
// UserReconciler and TokenReconciler fill the directory on every replica and do not write anything
// about users to the API server. UserStatusReconciler computes conditions on every replica, and the
// first replica to write them wins. There is no leader.
package controllers
