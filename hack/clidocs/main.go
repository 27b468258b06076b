// Command clidocs writes the reference of the command line: pages in Markdown, or man pages.
//
//	clidocs markdown|man DIR
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/gatehouse-auth/gatehouse/cmd"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "clidocs:", err)
		os.Exit(1) //nolint:forbidigo // the end of the process
	}
}

// run writes the pages of both programs in one of the two formats.
func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: clidocs markdown|man DIR")
	}
	format, dir := args[0], args[1]
	// A page that no command has any more must not stay.
	if err := os.RemoveAll(dir); err != nil { //nolint:gosec // the Makefile names the folder
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documentation is for everyone
		return err
	}
	if err := setEnvironment(); err != nil {
		return err
	}
	for _, root := range []*cobra.Command{cmd.New(""), cmd.NewPlugin("")} {
		root.DisableAutoGenTag = true
		root.InitDefaultCompletionCmd()
		if err := write(root, format, dir); err != nil {
			return err
		}
	}
	return nil
}

// setEnvironment gives defaults that come from the environment the same text on every machine.
func setEnvironment() error {
	for _, name := range []string{"POD_NAMESPACE", "KUBECACHEDIR", "KUBECONFIG", "XDG_STATE_HOME", "XDG_CONFIG_HOME"} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return os.Setenv("HOME", "~")
}

// raiseHeadings makes the first heading of a page, which cobra writes as one of level 2, the title, and
// raises those below it.
func raiseHeadings(page string) error {
	text, err := os.ReadFile(page) //nolint:gosec // the Makefile names the folder
	if err != nil {
		return err
	}
	var out strings.Builder
	inCode := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "```") {
			inCode = !inCode
		}
		if !inCode && strings.HasPrefix(line, "##") {
			line = line[1:]
		}
		out.WriteString(strings.Replace(line, "## SEE ALSO", "## See also", 1))
	}
	return os.WriteFile(page, []byte(out.String()), 0o644) //nolint:gosec // documentation is for everyone
}

func write(root *cobra.Command, format, dir string) error {
	switch format {
	case "markdown":
		if err := doc.GenMarkdownTree(root, dir); err != nil {
			return err
		}
		pages, err := filepath.Glob(filepath.Join(dir, strings.ReplaceAll(root.CommandPath(), " ", "_")+"*.md"))
		if err != nil {
			return err
		}
		for _, page := range pages {
			if err := raiseHeadings(page); err != nil {
				return err
			}
		}
		return nil
	case "man":
		header := &doc.GenManHeader{Section: "1", Source: "Gatehouse", Manual: "Gatehouse", Date: &time.Time{}}
		return doc.GenManTree(root, header, dir)
	}
	return fmt.Errorf("unknown format %q: want %s", format, strings.Join([]string{"markdown", "man"}, " or "))
}
