package cmd

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/output"
	"github.com/gatehouse-auth/gatehouse/cmd/remote"
)

// newWhoamiCommand returns the command that shows whose token the context has.
func newWhoamiCommand(version string) *cobra.Command {
	o := &connectionOptions{version: version}
	var out output.Flag
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show who is logged in, and until when",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			return o.whoami(cmd, out)
		},
	}
	o.bind(cmd)
	o.bindTokenFile(cmd)
	out.Bind(cmd)
	return cmd
}

// whoami is what gatehouse whoami prints.
type whoami struct {
	remote.User
	Server  string    `json:"server"`
	Context string    `json:"context,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

func (o *connectionOptions) whoami(cmd *cobra.Command, out output.Flag) error {
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	t, err := c.token(cmd)
	if err != nil {
		return err
	}
	info, err := c.Describe(cmd.Context(), t.Token)
	if err != nil {
		return explainRefusal(err)
	}
	w := whoami{User: info.User, Server: c.context.Server, Created: info.Created, Expires: info.Expires}
	if c.fixed == "" {
		w.Context = c.context.Name
	}
	return out.Print(cmd.OutOrStdout(), w, w.table)
}

// table writes one line for each fact that is known.
func (w whoami) table(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	admin := ""
	if w.Admin {
		admin = "may list and revoke the tokens of other users"
	}
	for _, fact := range [][2]string{
		{"Login", w.Login}, {"Name", w.DisplayName}, {"Email", w.Email}, {"Groups", strings.Join(w.Groups, ", ")},
		{"Administrator", admin}, {"Server", w.Server}, {"Context", w.Context},
		{"Token issued", rfc3339(w.Created)}, {"Token ends", rfc3339(w.Expires)},
	} {
		if fact[1] != "" {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", fact[0], output.Escape(fact[1])) // Flush has the error
		}
	}
	return table.Flush()
}

// explainRefusal adds to the refusal of a token what to do.
func explainRefusal(err error) error {
	if remote.Refused(err) {
		return fmt.Errorf("%w; for a new token, run: gatehouse login", err)
	}
	return err
}
