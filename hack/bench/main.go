// Command bench measures the built service on this machine. It has a module of its own, so that
// the service's module does not carry what only measurements need.
//
//	bench run   [flags]    how near the service comes to what the machine allows
//	bench scale [flags]    what grows with the number of users
//
// Run it from the root of the repository: make bench and make bench-scale do. The subcommand bare
// is internal: run starts itself with it as the server that the service is compared with.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gatehouse-auth/gatehouse/hack/bench/load"
	"github.com/gatehouse-auth/gatehouse/hack/bench/scale"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // the end of the process
	}
}

// run runs the subcommand that the first argument names, with the other arguments as its flags.
func run(ctx context.Context, args []string) error {
	subcommands := map[string]func(context.Context, []string) error{
		"run":            load.Run,
		"scale":          scale.Run,
		load.BareCommand: load.ServeBare,
	}
	if len(args) == 0 || subcommands[args[0]] == nil {
		return fmt.Errorf("bench: unknown subcommand %q; use run or scale", strings.Join(args[:min(1, len(args))], ""))
	}
	if err := subcommands[args[0]](ctx, args[1:]); err != nil {
		return fmt.Errorf("bench %s: %w", args[0], err)
	}
	return nil
}
