package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/gauge"
)

// describe says when, where and with what was measured.
func describe(ctx context.Context, binary string) string {
	version, _ := exec.CommandContext(ctx, binary, "--version").Output()
	return fmt.Sprintf("%s, %s; %s; %s", time.Now().UTC().Format("2006-01-02 15:04 MST"),
		strings.TrimSpace(string(version)), gauge.Machine(), runtime.Version())
}
