// Package crd holds the generated custom resource definitions, so that what is read from a folder of files is validated by
// the very schema that a cluster enforces.
package crd

import "embed"

// Bases holds one definition a file: bases/auth.gatehouse.dev_users.yaml and bases/auth.gatehouse.dev_tokens.yaml.
//
//go:embed bases/*.yaml
var Bases embed.FS
