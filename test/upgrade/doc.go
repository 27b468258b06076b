// Package upgrade tests that what the last release accepts, this source accepts too. testdata holds the
// CRDs of the last release and objects that they accept; make crd-baseline replaces both when a release has
// been made. A difference that is meant goes into testdata/exceptions.yaml with its reason.
package upgrade
