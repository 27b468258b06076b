package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/remote"
	"github.com/gatehouse-auth/gatehouse/cmd/session"
)

// loginOptions are the options of gatehouse login.
type loginOptions struct {
	connectionOptions
	passwordStdin       bool
	serviceAccountToken string
	lifetime, label     string
	password            string // only so that it can be refused
}

// newLoginCommand returns the command that obtains a token and stores it.
func newLoginCommand(version string) *cobra.Command {
	o := &loginOptions{connectionOptions: connectionOptions{version: version}}
	cmd := &cobra.Command{
		Use:   "login [USER]",
		Short: "Log in to a service and store the token",
		Long: "Logs in to a service, stores the token in a context and makes this context the current one. The other commands use\n" +
			"the token from there, and renew it when little of its life is left.\n\n" +
			"The password is asked for at the terminal, or read from standard input with --password-stdin. In a Pod,\n" +
			"--service-account-token-file logs in with the identity of the Pod, and needs no USER.",
		Example: "  gatehouse login jean --server https://gatehouse.example.com --lifetime 8h\n" +
			"  gatehouse login --service-account-token-file /var/run/secrets/tokens/gatehouse",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              o.run,
	}
	o.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.tokenFile, "token-file", "", "write the bare token to this file, and store no context")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&o.serviceAccountToken, "service-account-token-file", "", "log in with the token in this file instead of a password")
	f.StringVar(&o.lifetime, "lifetime", "", "how long the token is good, such as 8h or 30d (default: what the service gives)")
	f.StringVar(&o.label, "label", "", "label of the token; a second login with it returns the same token")
	f.StringVar(&o.password, "password", "", "")
	_ = f.MarkHidden("password")
	_ = cmd.MarkFlagFilename("service-account-token-file")
	return cmd
}

func (o *loginOptions) run(cmd *cobra.Command, args []string) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	c, err := o.target(args)
	if err != nil {
		return err
	}
	t, err := o.obtain(cmd, c)
	if err != nil {
		return err
	}
	if o.tokenFile != "" {
		return session.WriteSecret(o.tokenFile, []byte(t.Token+"\n"))
	}
	err = c.store.WithTokenLock(c.context.Name, func() error { return c.store.PutToken(c.context.Name, t) })
	if err == nil {
		err = c.store.Put(c.context)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "Logged in to %s%s. The token is good until %s.\n",
		c.context.Server, asLogin(c.context.Login), rfc3339(t.Expires))
	return err
}

// check refuses options that do not go together.
func (o *loginOptions) check(cmd *cobra.Command) error {
	switch {
	case cmd.Flags().Changed("password"):
		return errors.New("the password is not an argument, because other users could see it: enter it at the prompt, or pipe it in with --password-stdin")
	case o.passwordStdin && o.serviceAccountToken != "":
		return errors.New("--password-stdin and --service-account-token-file exclude each other")
	case o.tokenFile == "-":
		return errors.New("--token-file must be a file; to print the token, run: gatehouse token get")
	}
	return nil
}

// target returns the connection to log in with: the context of that name with what the options
// change of it.
func (o *loginOptions) target(args []string) (*connection, error) {
	name := o.contextName()
	c, err := o.selectContext()
	var unknown *session.UnknownContextError
	if err != nil && !errors.As(err, &unknown) {
		return nil, err
	}
	next := session.Context{
		Name:   cmp.Or(name, c.context.Name, session.DefaultContext),
		Server: cmp.Or(o.server, os.Getenv("GATEHOUSE_SERVER"), c.context.Server), Lifetime: o.lifetime, Label: o.label,
	}
	if len(args) == 1 {
		next.Login = args[0]
	} else if o.serviceAccountToken == "" {
		next.Login = c.context.Login
	}
	next.CA, err = absolute(cmp.Or(o.ca, os.Getenv("GATEHOUSE_CA"), c.context.CA))
	if err == nil {
		next.ServiceAccountTokenFile, err = absolute(o.serviceAccountToken)
	}
	if err == nil {
		err = session.CheckName(next.Name)
	}
	if err != nil {
		return nil, err
	}
	c.context = next
	c.Client, err = remote.New(next.Server, next.CA, o.version)
	return c, err
}

// obtain logs in.
func (o *loginOptions) obtain(cmd *cobra.Command, c *connection) (session.Token, error) {
	if c.context.ServiceAccountTokenFile != "" {
		return c.loginByFile(cmd.Context())
	}
	password, err := o.readCredential(cmd, &c.context.Login)
	if err != nil {
		return session.Token{}, err
	}
	return c.login(cmd.Context(), password)
}

// readCredential returns the password, and asks for the login too if it is not known.
func (o *loginOptions) readCredential(cmd *cobra.Command, login *string) (password string, err error) {
	if o.passwordStdin {
		if *login == "" {
			return "", errors.New("who logs in? Give the user: gatehouse login USER --password-stdin")
		}
		password, err = readLine(cmd.InOrStdin())
		if err == nil && password == "" {
			err = errors.New("standard input has no password")
		}
		return password, err
	}
	f, ok := terminal(cmd.InOrStdin())
	if !ok {
		return "", errors.New("standard input is not a terminal; pipe the password in with --password-stdin, or use --service-account-token-file")
	}
	err = prompt(f, cmd.ErrOrStderr(), func(ask func(string, bool) (string, error)) (err error) {
		if *login == "" {
			if *login, err = ask("User: ", false); err != nil {
				return err
			}
		}
		password, err = ask("Password of "+*login+": ", true)
		return err
	})
	if errors.Is(err, errInterrupted) {
		return "", errors.New("interrupted; not logged in")
	}
	return password, err
}

// asLogin returns " as LOGIN", or nothing if the login is not known.
func asLogin(login string) string {
	if login == "" {
		return ""
	}
	return " as " + login
}
