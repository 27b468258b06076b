// Package machine is what the subcommands of bench share: on which machine they run, what the
// kernel tells about a process, and how figures get into a page of the documentation.
package machine

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Describe returns where figures come from: cores, processor, memory and kernel.
func Describe() string {
	model := procValue("/proc/cpuinfo", "model name")
	if model == "" {
		model = runtime.GOARCH
	}
	kib, _ := strconv.Atoi(strings.TrimSuffix(procValue("/proc/meminfo", "MemTotal"), " kB"))
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d cores of %s, %d GiB, Linux %s",
		runtime.NumCPU(), model, (kib+1<<19)>>20, strings.TrimSpace(string(kernel)))
}

// procValue returns the value of the first line of a file that begins with name and a colon, or ""
// if there is no such line or no such file.
func procValue(path, name string) string {
	text, _ := os.ReadFile(path) //nolint:gosec // under /proc
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
