package cmd

import (
	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/serve"
)

// newServeCommand returns the command that runs the service.
func newServeCommand(version string) *cobra.Command {
	o := serve.NewOptions()
	o.Version = version
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the service in a cluster, or with --manifests on its own",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return serve.Run(cmd.Context(), o)
		},
	}
	o.Bind(cmd.Flags())
	return cmd
}
