package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/gauge"
)

// process is a server that was started to be measured.
type process struct {
	cmd *exec.Cmd
	log *os.File
}

// start runs a command whose output goes to a file, as a container's does.
func start(ctx context.Context, logFile, name string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Clean(logFile))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // given on the command line
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &process{cmd, log}, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	_ = p.log.Close()
}

// cpu is the processor time that the process has used.
func (p *process) cpu() time.Duration {
	used, _ := gauge.CPU(p.cmd.Process.Pid)
	return used
}

// resident is the memory in bytes that the process takes.
func (p *process) resident() int {
	kib, _, _ := gauge.Memory(p.cmd.Process.Pid)
	return kib << 10
}
