// Package gitops tests what tools that apply Users from Git make of them, the examples, and the admission
// rules, on a real API server. It is a module of its own, because the service does not need the libraries of
// those tools.
package gitops
