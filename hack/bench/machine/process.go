package machine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat, the same on every Linux that Go runs on:
// proc_pid_stat(5).
const clockTick = 10 * time.Millisecond

// CPU returns the processor time that a process has used.
func CPU(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name before it may hold spaces
	fields := strings.Fields(rest)
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat has too few fields: %q", pid, raw)
	}
	userTicks, errUser := strconv.Atoi(fields[user])
	systemTicks, errSystem := strconv.Atoi(fields[system])
	return time.Duration(userTicks+systemTicks) * clockTick, errors.Join(errUser, errSystem)
}

// Memory returns the resident memory of a process and the most that it ever was, in KiB.
func Memory(pid int) (resident, peak int, err error) {
	status := fmt.Sprintf("/proc/%d/status", pid)
	kib := func(name string) int {
		n, _ := strconv.Atoi(strings.TrimSuffix(procValue(status, name), " kB"))
		return n
	}
	if resident, peak = kib("VmRSS"), kib("VmHWM"); resident == 0 {
		return 0, 0, fmt.Errorf("%s does not tell the memory of the process; it may have ended", status)
	}
	return resident, peak, nil
}
