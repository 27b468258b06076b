// Package foreign runs programs of other projects against the service, with the configurations that
// the pages in docs/ print. It is a module of its own, because the service needs none of these
// programs, and each program is built from a module of its own in programs/, because their
// dependencies exclude each other.
package foreign
