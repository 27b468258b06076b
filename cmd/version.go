package cmd

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/output"
)

// versionInfo is what gatehouse version prints.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source; empty if the build does not know it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// newVersionCommand returns the command that prints the version of the binary.
func newVersionCommand(version string) *cobra.Command {
	var out output.Flag
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version of this binary", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			v := versionInfo{Version: version, Revision: revision(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			return out.Print(cmd.OutOrStdout(), v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "gatehouse %s (%s, %s)\n", v.Version, v.Go, v.Platform)
				return err
			})
		},
	}
	out.Bind(cmd)
	return cmd
}

// revision returns the revision of the source that the binary is built from, if it is known.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
