// Package goreleaser pins goreleaser, which make release runs, and checks its configuration with the code
// that reads it. The program itself is too large to be a tool of this module: it has the clients of every
// cloud.
package goreleaser
