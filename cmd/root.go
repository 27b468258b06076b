// Package cmd is the command line of gatehouse.
package cmd

import (
	"github.com/spf13/cobra"
)

// New returns the root command of gatehouse. version is what --version prints and the service
// reports.
func New(version string) *cobra.Command {
	root := &cobra.Command{
		Use:     "gatehouse",
		Short:   "Authentication service for users declared in Kubernetes or in a folder",
		Version: version,
		// main prints the error, without the usage, in which an error is hard to find.
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newServeCommand(version), newHashPasswordCommand(), newKeysCommand())
	return root
}
