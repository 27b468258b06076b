package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/remote"
	"github.com/gatehouse-auth/gatehouse/cmd/session"
)

// newLogoutCommand returns the command that revokes the token of a context and removes it.
func newLogoutCommand(version string) *cobra.Command {
	o := &connectionOptions{version: version}
	var forgetOnly bool
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Revoke the token of the context, and forget it",
		Long: "Revokes the token of the context at the service, and then removes it from this machine. If the service cannot be\n" +
			"reached, the token stays, because it is still valid; --forget-only removes it all the same.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.logout(cmd, forgetOnly) },
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&forgetOnly, "forget-only", false, "remove the token from this machine without revoking it")
	return cmd
}

func (o *connectionOptions) logout(cmd *cobra.Command, forgetOnly bool) error {
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	return c.store.WithTokenLock(c.context.Name, func() error {
		t, err := c.store.Token(c.context.Name)
		if errors.Is(err, session.ErrNotLoggedIn) {
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), "Not logged in.")
			return err
		}
		if err == nil && !forgetOnly {
			err = c.Revoke(cmd.Context(), t.Token, remote.Revocation{Tokens: []string{t.Token}})
		}
		if err != nil && !remote.Refused(err) && !forgetOnly { // a refused token is void already
			return fmt.Errorf("the token is not revoked and stays on this machine: %w; to forget it all the same, run: gatehouse logout --forget-only", err)
		}
		if err := c.store.Forget(c.context.Name); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "Logged out of %s.\n", c.context.Server)
		return err
	})
}
