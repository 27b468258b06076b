// Package cmd is the command line of gatehouse.
package cmd

import (
	"github.com/spf13/cobra"
)

// New returns the command line of the binary, which calls itself by this version.
func New(version string) *cobra.Command {
	root := &cobra.Command{
		Use:     "gatehouse",
		Short:   "An authentication service for users declared in Kubernetes or in a folder",
		Version: version,
		// main prints the error once, without the list of flags, which would hide it.
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newServeCommand(version), newHashPasswordCommand(), newKeysCommand())
	return root
}
