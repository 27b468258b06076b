package cmd

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/kubectl"
)

// IsPlugin reports whether the program was started under the name of the kubectl plugin.
func IsPlugin(program string) bool {
	name := strings.TrimSuffix(filepath.Base(program), ".exe")
	return strings.HasPrefix(name, "kubectl-gatehouse") || strings.HasPrefix(name, "kubectl_gatehouse")
}

// NewPlugin returns the root command of the kubectl plugin.
func NewPlugin(version string) *cobra.Command {
	root := &cobra.Command{
		Use:           "kubectl-gatehouse",
		Short:         "Keep the Users of Gatehouse in a cluster",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		// Help shows the command as people type it.
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl gatehouse"},
	}
	root.AddCommand(kubectl.New()...)
	root.AddCommand(newKeysCommand(), newVersionCommand(version))
	for _, c := range root.Commands() {
		requireSubcommand(c)
	}
	return root
}
