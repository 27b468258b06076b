package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"

	"github.com/gatehouse-auth/gatehouse/cmd/output"
	"github.com/gatehouse-auth/gatehouse/cmd/remote"
	"github.com/gatehouse-auth/gatehouse/cmd/session"
)

// newTokenCommand returns the command with those that use and manage tokens.
func newTokenCommand(version string) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Print, list, revoke or inspect tokens"}
	cmd.AddCommand(newTokenGetCommand(version), newTokenListCommand(version), newTokenRevokeCommand(version), newTokenInspectCommand(version))
	return cmd
}

// newTokenGetCommand returns the command that prints the token of the context.
func newTokenGetCommand(version string) *cobra.Command {
	o := &connectionOptions{version: version}
	var execCredential bool
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Print the token, renewed if little of its life is left",
		Long: "Prints the token of the context. It is renewed when it has less than a fifth of its life left: with the file of the\n" +
			"ServiceAccount if the login used one, and otherwise with the token itself.\n\n" +
			"With --exec-credential it is a credential plugin of kubectl.",
		Example: "  curl -H \"X-Authentication: $(gatehouse token get)\" https://gatehouse.example.com/rbac-api/v1/users/current",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.connect(cmd)
			if err != nil {
				return err
			}
			t, err := c.token(cmd)
			if err != nil {
				return err
			}
			if execCredential {
				return writeExecCredential(cmd.OutOrStdout(), t)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), t.Token)
			return err
		},
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&execCredential, "exec-credential", false, "print an ExecCredential of client.authentication.k8s.io/v1, for kubectl")
	return cmd
}

// writeExecCredential writes the token in the form that kubectl reads from a credential plugin.
// https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
func writeExecCredential(w io.Writer, t session.Token) error {
	expires := metav1.NewTime(t.Expires)
	text, err := json.Marshal(clientauthenticationv1.ExecCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: clientauthenticationv1.SchemeGroupVersion.String(), Kind: "ExecCredential"},
		Status:   &clientauthenticationv1.ExecCredentialStatus{Token: t.Token, ExpirationTimestamp: &expires},
	})
	if err != nil {
		return fmt.Errorf("encode the credential: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// newTokenListCommand returns the command that lists the recorded tokens of the user.
func newTokenListCommand(version string) *cobra.Command {
	o := &connectionOptions{version: version}
	var out output.Flag
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your tokens that the service keeps a record of",
		Long: "Lists your tokens that the service keeps a record of: those with a label, those that were revoked by themselves, and\n" +
			"those that live for more than a day. No list has the value of a token.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			return o.listTokens(cmd, out)
		},
	}
	o.bind(cmd)
	o.bindTokenFile(cmd)
	out.Bind(cmd)
	return cmd
}

func (o *connectionOptions) listTokens(cmd *cobra.Command, out output.Flag) error {
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	t, err := c.token(cmd)
	if err != nil {
		return err
	}
	user, err := c.CurrentUser(cmd.Context(), t.Token)
	if err != nil {
		return explainRefusal(err)
	}
	listed, err := c.List(cmd.Context(), t.Token, user.ID)
	if err != nil {
		return explainRefusal(err)
	}
	return out.Print(cmd.OutOrStdout(), listed, func(w io.Writer) error { return writeTokens(w, listed, time.Now()) })
}

func writeTokens(w io.Writer, listed []remote.Listed, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tLABEL\tISSUED\tENDS\tDESCRIPTION") // Flush has the error
	for _, t := range listed {
		ends := rfc3339(t.Expires)
		if !t.Expires.After(now) {
			ends += " (ended)"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.ID, output.Escape(t.Label), rfc3339(t.Created), ends, output.Escape(t.Description))
	}
	return table.Flush()
}

// revokeOptions are the options of gatehouse token revoke.
type revokeOptions struct {
	connectionOptions
	label string
	all   bool
}

// newTokenRevokeCommand returns the command that revokes tokens of the user.
func newTokenRevokeCommand(version string) *cobra.Command {
	o := &revokeOptions{connectionOptions: connectionOptions{version: version}}
	cmd := &cobra.Command{
		Use:   "revoke [ID | --label LABEL | --all]",
		Short: "Revoke your tokens by ID or label, or all of them",
		Long: "Revokes your tokens: the one with an ID of gatehouse token list, the one with a label, or with --all every token that you\n" +
			"have, with and without a record, that of this context included. A revocation cannot be undone.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              o.run,
	}
	o.bind(cmd)
	o.bindTokenFile(cmd)
	cmd.Flags().StringVar(&o.label, "label", "", "revoke the token with this label")
	cmd.Flags().BoolVar(&o.all, "all", false, "revoke all tokens of the user who is logged in")
	return cmd
}

func (o *revokeOptions) run(cmd *cobra.Command, args []string) error {
	given := len(args)
	for _, set := range []bool{o.label != "", o.all} {
		if set {
			given++
		}
	}
	if given != 1 {
		return errors.New("give exactly one of an ID, --label LABEL and --all; gatehouse token list shows IDs and labels")
	}
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	t, err := c.token(cmd)
	if err != nil {
		return err
	}
	what, err := o.revocation(cmd, c, t, args)
	if err != nil {
		return explainRefusal(err)
	}
	if err := c.Revoke(cmd.Context(), t.Token, what); err != nil {
		return err
	}
	if o.all && c.fixed == "" {
		err = c.store.Forget(c.context.Name)
	}
	return errors.Join(err, say(cmd, "Revoked."))
}

// revocation returns what the options say is to be revoked.
func (o *revokeOptions) revocation(cmd *cobra.Command, c *connection, t session.Token, args []string) (remote.Revocation, error) {
	switch {
	case o.label != "":
		return remote.Revocation{Labels: []string{o.label}}, nil
	case len(args) == 1:
		return remote.Revocation{IDs: args}, nil
	}
	user, err := c.CurrentUser(cmd.Context(), t.Token)
	return remote.Revocation{Usernames: []string{user.Login}}, err
}

// say writes a line to standard error, so that standard output has nothing but results.
func say(cmd *cobra.Command, text string) error {
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), text)
	return err
}
