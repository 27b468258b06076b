// Command site checks the documentation: the pages that Hugo has built, and the links between the
// Markdown files of the repository. It asks no other machine.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: site REPOSITORY SITE")
		os.Exit(2) //nolint:forbidigo // the end of the process
	}
	faults := errors.Join(checkRepository(os.Args[1]), checkSite(os.Args[1], os.Args[2]))
	if faults != nil {
		fmt.Fprintln(os.Stderr, faults)
		os.Exit(1) //nolint:forbidigo // the end of the process
	}
}
