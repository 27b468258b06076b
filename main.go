// Gatehouse answers logins for services from User resources.
package main

import (
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := newCommand().Execute(); err != nil {
		os.Exit(1)
	}
}

// newCommand returns the command line of gatehouse. Each command lives in a file of its own.
func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:          "gatehouse",
		Short:        "Answer logins for services from User resources",
		SilenceUsage: true,
	}
	root.AddCommand(newHashPasswordCommand())
	return root
}
