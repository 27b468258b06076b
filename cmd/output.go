package cmd

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// The formats of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

// output is the flag that selects the format of what a command prints.
type output struct {
	format string
}

// bind adds the flag.
func (o *output) bind(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", outputTable, "format of the output: table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{outputTable, outputJSON, outputYAML}, cobra.ShellCompDirectiveNoFileComp))
}

// check returns an error unless the format is one of the three. It comes before anything is done.
func (o *output) check() error {
	switch o.format {
	case outputTable, outputJSON, outputYAML:
		return nil
	}
	return fmt.Errorf("--output must be %s, %s or %s", outputTable, outputJSON, outputYAML)
}

// print writes value as JSON or YAML, or calls table.
func (o *output) print(w io.Writer, value any, table func(io.Writer) error) error {
	if o.format == outputTable {
		return table(w)
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err == nil && o.format == outputYAML {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	if o.format == outputJSON {
		text = append(text, '\n')
	}
	_, err = w.Write(text)
	return err
}
