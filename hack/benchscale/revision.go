package main

import (
	"os/exec"
	"strings"
)

// revision is the commit that the binary was built from, if the folder knows.
func revision() string {
	out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "of an unknown revision"
	}
	return strings.TrimSpace(string(out))
}
