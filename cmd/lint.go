package cmd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/lint"
)

// lintOptions are the options of gatehouse lint.
type lintOptions struct {
	version     string
	format      string
	failOn      string
	base        []string
	adminGroups []string
}

// newLintCommand returns the command that examines manifests.
func newLintCommand(version string) *cobra.Command {
	o := &lintOptions{version: version}
	cmd := &cobra.Command{
		Use:   "lint PATH...",
		Short: "Examine manifests of Users before they reach a cluster",
		Long: "Examines the manifests in files and folders, or on standard input for a dash. It applies the schema and the rules of the\n" +
			"CRD as the API server does, resolves Secrets and hashes as the service does, and compares the Users with each other.\n" +
			"It needs no cluster.\n\n" +
			"It exits with 0 if nothing was found, with 1 if something was, and with 2 if something could not be looked at.\n" +
			"The annotation " + lint.IgnoreAnnotation + " of an object names the rules that do not apply to it.",
		Example: "  gatehouse lint users/\n  kustomize build overlays/production | gatehouse lint -",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &exitError{2, errors.New("which manifests? Name files or folders, or - for standard input")}
			}
			return nil
		},
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringVarP(&o.format, "output", "o", lint.FormatText, "format of the output: "+strings.Join(lint.Formats(), ", "))
	f.StringVar(&o.failOn, "fail-on", lint.Warning.String(), "severity from which on findings count as failure: warning or error")
	f.StringSliceVar(&o.base, "base", nil, "manifests before the change; warns about users who become administrators")
	f.StringSliceVar(&o.adminGroups, "admin-groups", []string{"gatehouse-admins"}, "groups whose members are administrators of the service")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(lint.Formats(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"warning", "error"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{2, err} })
	return cmd
}

func (o *lintOptions) run(cmd *cobra.Command, args []string) error {
	failOn, err := lint.ParseSeverity(o.failOn)
	if err != nil {
		return &exitError{2, fmt.Errorf("--fail-on %w", err)}
	}
	if !slices.Contains(lint.Formats(), o.format) {
		return &exitError{2, fmt.Errorf("--output must be one of %s", strings.Join(lint.Formats(), ", "))}
	}
	result, err := lint.Run(lint.Config{
		Paths: args, Base: o.base, AdminGroups: o.adminGroups, Stdin: cmd.InOrStdin(), Now: time.Now(),
	})
	if err != nil {
		return &exitError{2, err}
	}
	if err := result.Write(cmd.OutOrStdout(), o.format, o.version); err != nil {
		return &exitError{2, err}
	}
	if err := say(cmd, fmt.Sprintf("findings: %d; files examined: %d; Users: %d", len(result.Findings), result.Files, result.Users)); err != nil {
		return &exitError{2, err}
	}
	if result.Exceeds(failOn) {
		return &exitError{code: 1}
	}
	return nil
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error // nil if everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Fail prints an error to standard error, and returns the exit code for it: 0 for none.
func Fail(err error) int {
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "gatehouse:", text)
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return 1
}
