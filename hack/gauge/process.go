package gauge

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat, the same on every Linux that Go runs on: proc_pid_stat(5).
const clockTick = 10 * time.Millisecond

// CPU is the processor time that a process has used.
func CPU(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name before it may hold spaces
	fields := strings.Fields(rest)
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc says %q", raw)
	}
	a, errA := strconv.Atoi(fields[user])
	b, errB := strconv.Atoi(fields[system])
	return time.Duration(a+b) * clockTick, errors.Join(errA, errB)
}

// Memory is the resident memory of a process and the most that it ever was, in KiB.
func Memory(pid int) (resident, peak int, err error) {
	status := fmt.Sprintf("/proc/%d/status", pid)
	kib := func(name string) int {
		n, _ := strconv.Atoi(strings.TrimSuffix(procValue(status, name), " kB"))
		return n
	}
	if resident, peak = kib("VmRSS"), kib("VmHWM"); resident == 0 {
		return 0, 0, fmt.Errorf("the kernel does not say how much memory process %d has", pid)
	}
	return resident, peak, nil
}

// FreeAddresses returns addresses on this machine that nobody listened at a moment ago, all of them different.
func FreeAddresses(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
