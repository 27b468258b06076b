// Package valid holds docs/openapi.yaml against the schema of OpenAPI 3.1. It is a package of its own,
// because the library for that takes longer to compile than everything else here.
package valid
