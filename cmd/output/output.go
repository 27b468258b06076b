// Package output is the flag --output of the commands that print tables.
package output

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// The formats of --output.
const (
	table  = "table"
	inJSON = "json"
	inYAML = "yaml"
)

// Flag selects the format of what a command prints.
type Flag struct {
	format string
}

// Bind adds the flag.
func (f *Flag) Bind(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.format, "output", "o", table, "format of the output: table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{table, inJSON, inYAML}, cobra.ShellCompDirectiveNoFileComp))
}

// Check returns an error unless the format is one of the three. It comes before anything is done.
func (f *Flag) Check() error {
	switch f.format {
	case table, inJSON, inYAML:
		return nil
	}
	return fmt.Errorf("--output must be %s, %s or %s", table, inJSON, inYAML)
}

// Print writes value as JSON or YAML, or calls asTable.
func (f *Flag) Print(w io.Writer, value any, asTable func(io.Writer) error) error {
	if f.format == table {
		return asTable(w)
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil && f.format == inYAML {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	if f.format == inJSON {
		text = append(text, '\n')
	}
	_, err = w.Write(text)
	return err
}
