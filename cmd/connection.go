package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/remote"
	"github.com/gatehouse-auth/gatehouse/cmd/session"
)

// connectionOptions name a service, and the token to use there.
type connectionOptions struct {
	version   string
	context   string
	server    string
	ca        string
	tokenFile string
}

// bind adds the flags that every command has that talks to a service.
func (o *connectionOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.context, "context", "", "context to use (default: $GATEHOUSE_CONTEXT, or that of the last login)")
	f.StringVar(&o.server, "server", "", "address of the service, https://HOST:PORT (default: $GATEHOUSE_SERVER, or that of the context)")
	f.StringVar(&o.ca, "ca", "", "file with the CA certificate of the service in PEM (default: $GATEHOUSE_CA, that of the context, or the system's)")
	_ = cmd.MarkFlagFilename("ca")
	_ = cmd.RegisterFlagCompletionFunc("context", completeContexts)
}

// contextName returns the name of the context that the options or the environment name, or "" for
// the current one.
func (o *connectionOptions) contextName() string {
	return cmp.Or(o.context, os.Getenv("GATEHOUSE_CONTEXT"))
}

// bindTokenFile adds the flag that replaces the token of the context.
func (o *connectionOptions) bindTokenFile(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.tokenFile, "token-file", "", "file with the token to use instead of that of the context; - is standard input")
	_ = cmd.MarkFlagFilename("token-file")
}

// connection is a service, with the context that leads to it.
type connection struct {
	*remote.Client
	store   session.Store
	context session.Context
	fixed   string // the token of --token-file; empty if the context has the token
}

// connect returns the connection that the options, the environment and the contexts name, in this
// order.
func (o *connectionOptions) connect(cmd *cobra.Command) (*connection, error) {
	c, err := o.selectContext()
	if err != nil {
		return nil, err
	}
	if o.tokenFile != "" {
		if c.fixed, err = readToken(cmd, o.tokenFile); err != nil {
			return nil, err
		}
	}
	c.context.Server = cmp.Or(o.server, os.Getenv("GATEHOUSE_SERVER"), c.context.Server)
	c.context.CA = cmp.Or(o.ca, os.Getenv("GATEHOUSE_CA"), c.context.CA)
	if c.fixed == "" && c.context.Name == "" {
		return nil, session.ErrNotLoggedIn
	}
	c.Client, err = remote.New(c.context.Server, c.context.CA, o.version)
	return c, err
}

// selectContext returns a connection with the context that the options select. It has none if
// there is none and the options need none.
func (o *connectionOptions) selectContext() (*connection, error) {
	dir, err := session.DefaultDir()
	if err != nil {
		return nil, err
	}
	c := &connection{store: session.Store{Dir: dir}}
	config, err := c.store.Config()
	if err != nil {
		return nil, err
	}
	c.context, err = config.Find(o.contextName())
	if errors.Is(err, session.ErrNotLoggedIn) || (err != nil && o.tokenFile != "") {
		return c, nil
	}
	return c, err // also with an error, because a login may make the context
}

// token returns a token that is good for now: that of --token-file, or that of the context, which it
// renews if little of its life is left.
func (c *connection) token(cmd *cobra.Command) (session.Token, error) {
	if c.fixed != "" {
		return session.Token{Token: c.fixed}, nil
	}
	t, err := c.store.Token(c.context.Name)
	if err != nil || !t.NeedsRenewal(time.Now()) {
		return t, err
	}
	err = c.store.WithTokenLock(c.context.Name, func() error {
		t, err = c.renewed(cmd)
		return err
	})
	return t, err
}

// renewed returns the token of the context after a renewal, unless another process has renewed it.
// If the service is away or refuses, a token that has not ended is still good.
func (c *connection) renewed(cmd *cobra.Command) (session.Token, error) {
	now := time.Now()
	t, err := c.store.Token(c.context.Name)
	if err != nil || !t.NeedsRenewal(now) {
		return t, err
	}
	next, err := c.renew(cmd.Context(), t)
	if err == nil {
		return next, c.store.PutToken(c.context.Name, next)
	}
	if t.Expires.After(now) {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: the token cannot be renewed and ends at %s: %v\n", rfc3339(t.Expires), err)
		return t, nil
	}
	return t, fmt.Errorf("the token ended at %s and cannot be renewed: %w; run: gatehouse login", rfc3339(t.Expires), err)
}

// renew returns another token from the file of the ServiceAccount, or else from the token itself.
func (c *connection) renew(ctx context.Context, t session.Token) (session.Token, error) {
	if c.context.ServiceAccountTokenFile != "" {
		return c.loginByFile(ctx)
	}
	text, err := c.Renew(ctx, t.Token, c.context.Lifetime)
	if err != nil {
		return session.Token{}, err
	}
	return c.describe(ctx, text)
}

// loginByFile logs in with the token in the file of a ServiceAccount.
func (c *connection) loginByFile(ctx context.Context) (session.Token, error) {
	assertion, err := readSecretFile(c.context.ServiceAccountTokenFile)
	if err != nil {
		return session.Token{}, err
	}
	if c.context.Login != "" {
		return c.login(ctx, assertion)
	}
	before := time.Now().Truncate(time.Second)
	out, err := c.Exchange(ctx, assertion)
	return session.Token{Token: out.Token, Created: before, Expires: before.Add(time.Duration(out.ExpiresIn) * time.Second)}, err
}

// login logs in as the login of the context.
func (c *connection) login(ctx context.Context, password string) (session.Token, error) {
	text, err := c.Login(ctx, remote.Credential{
		Login: c.context.Login, Password: password, Lifetime: c.context.Lifetime, Label: c.context.Label,
	})
	if err != nil {
		return session.Token{}, err
	}
	return c.describe(ctx, text)
}

// describe returns a token with its times, for which it asks the service.
func (c *connection) describe(ctx context.Context, text string) (session.Token, error) {
	info, err := c.Describe(ctx, text)
	if err != nil {
		return session.Token{}, fmt.Errorf("the service issued a token but does not describe it: %w", err)
	}
	return session.Token{Token: text, Created: info.Created, Expires: info.Expires}, nil
}

// readToken returns the token in a file, or on standard input if the path is a dash.
func readToken(cmd *cobra.Command, path string) (string, error) {
	if path != "-" {
		return readSecretFile(path)
	}
	line, err := readLine(cmd.InOrStdin())
	if err == nil && line == "" {
		err = errors.New("standard input has no token")
	}
	return line, err
}

// readSecretFile returns the only line of a file. Its errors quote nothing from the file.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path) // #nosec G304 -- the user names the file
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	line, err := readLine(f)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if line == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return line, nil
}

// absolute returns the absolute form of the path in a flag, which a context must have, because it
// is used from other folders. It returns an empty path unchanged.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// completeContexts completes the name of a context.
func completeContexts(_ *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	dir, err := session.DefaultDir()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	config, err := session.Store{Dir: dir}.Config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range config.Contexts {
		if strings.HasPrefix(c.Name, begin) {
			names = append(names, c.Name+"\t"+c.Server)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
