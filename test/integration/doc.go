// Package integration tests the service with other programs that use it: a Kubernetes API server,
// and proxies. They run with the configurations that docs/ gives people to paste. A test is skipped
// where its program is not installed. The package also tests what no test of a single package can:
// an API server that holds objects which break today's schema.
package integration
