// Command gatehouse is an authentication service: it knows the Users that were declared in a cluster or a folder, and answers
// two existing token APIs and whoever wants to check their tokens.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set when the binary is linked.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatehouse:", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "gatehouse",
		Short:   "An authentication service for users declared in Kubernetes or in a folder",
		Version: version,
		// An error is printed once, by main, and without the list of flags, which would hide it.
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newServeCommand(serve), newHashPasswordCommand(), newKeysCommand())
	return root
}

// newServeCommand reads the flags and calls run with them.
func newServeCommand(run func(context.Context, *options) error) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the service, in a cluster or with --manifests on its own",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.bind(cmd.Flags())
	return cmd
}

// serve runs the service until the context ends and everything has been drained.
func serve(ctx context.Context, o *options) error {
	log, flush := newLogger(o)
	defer flush()
	go tuneGC(ctx)
	c, err := newCore(o, log)
	if err != nil {
		return err
	}
	if o.manifests != "" {
		return serveFolder(ctx, o, c)
	}
	return serveCluster(ctx, o, c)
}
