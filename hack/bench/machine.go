package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// describeMachine says where and with what was measured.
func describeMachine(ctx context.Context, binary string) string {
	version, _ := exec.CommandContext(ctx, binary, "--version").Output()
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %s; %s, %d cores, %s of memory, Linux %s; %s",
		time.Now().UTC().Format("2006-01-02 15:04 MST"),
		strings.TrimSpace(string(version)), procValue("/proc/cpuinfo", "model name"), runtime.NumCPU(),
		procValue("/proc/meminfo", "MemTotal"), strings.TrimSpace(string(kernel)), runtime.Version())
}

// procValue returns the value after the first line that begins with a name.
func procValue(file, name string) string {
	text, _ := os.ReadFile(file) //nolint:gosec // under /proc
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown " + name
}
