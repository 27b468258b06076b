// Package openapi holds docs/openapi.yaml against the running service.
package openapi
