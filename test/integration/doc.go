// Package integration holds the tests that let programs of others use the service: a Kubernetes API server, and proxies. They
// run with the configurations that docs/ gives people to paste, and are skipped where the program is not installed. It also
// shows the service what an API server may hold that no test of a package can store: objects that break today's schema.
package integration
