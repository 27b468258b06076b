package cmd

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/output"
	"github.com/gatehouse-auth/gatehouse/cmd/session"
)

// newContextCommand returns the command that shows and selects contexts.
func newContextCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "context", Short: "Show or select the services that you have logged in to"}
	var out output.Flag
	list := &cobra.Command{
		Use: "list", Short: "Show the contexts; a star marks the current one", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			return listContexts(cmd, out)
		},
	}
	out.Bind(list)
	cmd.AddCommand(list, &cobra.Command{
		Use: "use NAME", Short: "Make a context the current one", Args: cobra.ExactArgs(1), ValidArgsFunction: completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := session.DefaultDir()
			if err != nil {
				return err
			}
			return session.Store{Dir: dir}.Use(args[0])
		},
	})
	return cmd
}

// listedContext is a context as gatehouse context list shows it.
type listedContext struct {
	session.Context
	Current bool       `json:"current"`
	Expires *time.Time `json:"expires,omitempty"` // of the token; nil if there is none
}

func listContexts(cmd *cobra.Command, out output.Flag) error {
	dir, err := session.DefaultDir()
	if err != nil {
		return err
	}
	store := session.Store{Dir: dir}
	config, err := store.Config()
	if err != nil {
		return err
	}
	listed := []listedContext{}
	for _, c := range config.Contexts {
		l := listedContext{Context: c, Current: c.Name == config.CurrentContext}
		if t, err := store.Token(c.Name); err == nil {
			l.Expires = &t.Expires
		}
		listed = append(listed, l)
	}
	return out.Print(cmd.OutOrStdout(), listed, func(w io.Writer) error { return writeContexts(w, listed, time.Now()) })
}

func writeContexts(w io.Writer, listed []listedContext, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "CURRENT\tNAME\tSERVER\tLOGIN\tTOKEN") // Flush has the error
	for _, l := range listed {
		current, state := "", "none"
		if l.Current {
			current = "*"
		}
		if l.Expires != nil {
			state = "until " + rfc3339(*l.Expires)
			if !l.Expires.After(now) {
				state = "ended " + rfc3339(*l.Expires)
			}
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", current, l.Name, l.Server, l.Login, state)
	}
	return table.Flush()
}
