// Package ext stands for the fields that other editions of Traefik add to its configuration: none.
package ext

// HTTP has no fields.
type HTTP struct{}

// Router has no fields.
type Router struct{}
