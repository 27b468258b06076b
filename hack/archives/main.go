// Command archives builds the two programs of the command line for several platforms, packs them into
// archives whose bytes depend on nothing but the source, and writes the manifest for krew.
//
//	archives build VERSION DIR OS/ARCH...
//	archives krew VERSION DIR URL
//
// The first writes DIR/PROGRAM_OS_ARCH.tar.gz, .zip for Windows, for gatehouse and kubectl-gatehouse, and
// DIR/SHA256SUMS. The second writes DIR/gatehouse.yaml for the archives in DIR, to be served below URL.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "archives:", err)
		os.Exit(1) //nolint:forbidigo // the end of the process
	}
}

func run(args []string) error {
	const usage = "usage: archives build VERSION DIR OS/ARCH... | archives krew VERSION DIR URL"
	if len(args) < 4 {
		return errors.New(usage)
	}
	version, dir := args[1], args[2]
	switch {
	case args[0] == "build":
		return buildAll(version, dir, args[3:])
	case args[0] == "krew" && len(args) == 4:
		return writeManifest(version, dir, args[3])
	}
	return errors.New(usage)
}

// plugin is the name under which the program is a plugin of kubectl.
const plugin = "kubectl-gatehouse"

// programs returns the names of the program. The bytes are the same; the name decides what it is.
func programs() []string { return []string{"gatehouse", plugin} }

// buildAll builds for each platform and packs what was built under both names.
func buildAll(version, dir string, platforms []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // what is released is for everyone
		return err
	}
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return fmt.Errorf("run this in the root folder of the repository: %w", err)
	}
	var sums []string
	for _, p := range platforms {
		system, architecture, ok := strings.Cut(p, "/")
		if !ok {
			return fmt.Errorf("platform %q is not of the form OS/ARCH, such as linux/amd64", p)
		}
		binary, err := build(version, system, architecture)
		if err != nil {
			return fmt.Errorf("build for %s: %w", p, err)
		}
		for _, program := range programs() {
			name := archiveName(program, system, architecture)
			raw, err := pack(name, []entry{{executable(program, system), binary, 0o755}, {"LICENSE", license, 0o644}})
			if err != nil {
				return fmt.Errorf("pack %s: %w", name, err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil { //nolint:gosec // as above
				return err
			}
			sums = append(sums, sum(raw)+"  "+name+"\n")
		}
	}
	slices.SortFunc(sums, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(strings.Join(sums, "")), 0o644) //nolint:gosec // as above
}

// executable returns the name of a program's file.
func executable(program, system string) string {
	if system == "windows" {
		return program + ".exe"
	}
	return program
}

// archiveName returns the name of the archive of a program. It has no version, so that the latest
// release has a URL that does not change.
func archiveName(program, system, architecture string) string {
	name := program + "_" + system + "_" + architecture
	if system == "windows" {
		return name + ".zip"
	}
	return name + ".tar.gz"
}
