package kubectl

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/cmd/output"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
)

// newUserList returns the command that lists Users.
func newUserList() *cobra.Command {
	o := newOptions()
	var out output.Flag
	all := false
	cmd := &cobra.Command{
		Use: "list", Short: "List Users with their state, groups and last token", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			c, namespace, err := o.connect()
			if err != nil {
				return err
			}
			if all {
				namespace = ""
			}
			var users authv1alpha1.UserList
			if err := c.List(cmd.Context(), &users, client.InNamespace(namespace)); err != nil {
				return explain(err)
			}
			users.TypeMeta = listType("UserList")
			for i := range users.Items {
				stored.DropNotes(&users.Items[i])
			}
			return out.Print(cmd.OutOrStdout(), &users, func(w io.Writer) error { return writeUsers(w, users.Items) })
		},
	}
	o.bind(cmd)
	out.Bind(cmd)
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "list the Users of all namespaces")
	return cmd
}

// listType returns the type of a list, which a client leaves out when it decodes one.
func listType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: authv1alpha1.GroupVersion.String(), Kind: kind}
}

func writeUsers(w io.Writer, users []authv1alpha1.User) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	writeLine(table, "NAMESPACE\tNAME\tLOGIN\tSTATE\tREASON\tGROUPS\tEXPIRES\tLAST TOKEN") // Flush has the error
	for i := range users {
		u := &users[i]
		reason := "-"
		if ready := meta.FindStatusCondition(u.Status.Conditions, authv1alpha1.ConditionReady); ready != nil {
			reason = ready.Reason
		}
		writeLine(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", u.Namespace, u.Name, u.EffectiveLogin(), orDash(string(u.Status.State)), reason,
			orDash(strings.Join(u.Spec.Groups, ",")), inUTC(u.Spec.ExpiresAt), inUTC(u.Status.LastTokenIssuedAt))
	}
	return table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// newTokenList returns the command that lists recorded tokens.
func newTokenList() *cobra.Command {
	o := newOptions()
	var out output.Flag
	cmd := &cobra.Command{
		Use: "list [USER]", Short: "List the recorded tokens of all Users, or of one", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			c, namespace, err := o.connect()
			if err != nil {
				return err
			}
			options := []client.ListOption{client.InNamespace(namespace)}
			if len(args) == 1 {
				u, err := getUser(cmd.Context(), c, namespace, args[0])
				if err != nil {
					return err
				}
				options = append(options, client.MatchingFields{"spec.userRef.uid": string(u.UID)})
			}
			var tokens authv1alpha1.TokenList
			if err := c.List(cmd.Context(), &tokens, options...); err != nil {
				return explain(err)
			}
			tokens.TypeMeta = listType("TokenList")
			for i := range tokens.Items {
				stored.DropNotes(&tokens.Items[i])
			}
			return out.Print(cmd.OutOrStdout(), &tokens, func(w io.Writer) error { return writeTokens(w, tokens.Items) })
		},
	}
	o.bind(cmd)
	out.Bind(cmd)
	cmd.ValidArgsFunction = o.completeUsers
	return cmd
}

func writeTokens(w io.Writer, tokens []authv1alpha1.Token) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	writeLine(table, "NAME\tUSER\tLABEL\tISSUED\tENDS\tREVOKED") // Flush has the error
	for i := range tokens {
		t := &tokens[i]
		writeLine(table, "%s\t%s\t%s\t%s\t%s\t%t", t.Name, t.Spec.UserRef.Name, orDash(output.Escape(t.Spec.Label)),
			t.Spec.IssuedAt.UTC().Format("2006-01-02T15:04:05Z"), t.Spec.ExpiresAt.UTC().Format("2006-01-02T15:04:05Z"), t.Spec.Revoked)
	}
	return table.Flush()
}

// newTokenRevoke returns the command that revokes recorded tokens.
func newTokenRevoke() *cobra.Command {
	o := newOptions()
	cmd := &cobra.Command{
		Use:   "revoke NAME...",
		Short: "Revoke recorded tokens by the names of their Tokens",
		Long: "Revokes recorded tokens by the names of their Tokens, which kubectl gatehouse token list shows. To void all tokens of a\n" +
			"user, recorded or not, use kubectl gatehouse user revoke.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, namespace, err := o.connect()
			if err != nil {
				return err
			}
			for _, name := range args {
				t := &authv1alpha1.Token{}
				t.Namespace, t.Name = namespace, name
				patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"revoked":true}}`))
				if err := c.Patch(cmd.Context(), t, patch); err != nil {
					return fmt.Errorf("token %s: %w", name, explain(err))
				}
				writeLine(cmd.OutOrStdout(), "token/%s revoked", name)
			}
			return nil
		},
	}
	o.bind(cmd)
	return cmd
}
