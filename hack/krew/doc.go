// Package krew tests the archives of the command line and the manifest of the plugin with krew itself.
package krew
