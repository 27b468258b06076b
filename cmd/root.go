// Package cmd is the command line of gatehouse.
package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
)

// The groups of commands in the help.
const (
	groupUse   = "use"
	groupKeep  = "keep"
	groupServe = "serve"
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
	root.AddGroup(&cobra.Group{ID: groupUse, Title: "Use tokens:"}, &cobra.Group{ID: groupKeep, Title: "Keep users:"}, &cobra.Group{ID: groupServe, Title: "Run the service:"})
	addTo(root, groupUse, newLoginCommand(version), newLogoutCommand(version), newWhoamiCommand(version), newTokenCommand(version), newContextCommand())
	root.AddCommand(newVersionCommand(version))
	addTo(root, groupKeep, newLintCommand(version), newHashPasswordCommand())
	addTo(root, groupServe, newServeCommand(version), newKeysCommand(), newUnlockCommand())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		requireSubcommand(c)
	}
	return root
}

// requireSubcommand makes a command that only groups others refuse an argument that names none of
// them. By default such a command prints its help and succeeds.
func requireSubcommand(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		requireSubcommand(c)
	}
	if cmd.Runnable() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		cmd.PrintErrln(cmd.UsageString())
		return fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	}
}

// addTo adds commands to a group of the help.
func addTo(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}
