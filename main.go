// Command gatehouse is an authentication service. It holds the Users that are declared in a cluster or a folder, and answers two
// existing token APIs and every service that checks their tokens.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatehouse-auth/gatehouse/cmd"
)

// version is set when the binary is linked.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	root := cmd.New(version)
	if cmd.IsPlugin(os.Args[0]) {
		root = cmd.NewPlugin(version)
	}
	err := root.ExecuteContext(ctx)
	stop()
	os.Exit(cmd.Fail(err))
}
