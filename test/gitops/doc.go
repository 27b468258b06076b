// Package gitops tests what tools that apply Users from Git make of them. It is a module of its own,
// because the service does not need the libraries of those tools.
package gitops
