package load

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/bench/machine"
)

// process is a server that runs to be measured.
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

// startSelf runs this binary with other arguments.
func startSelf(ctx context.Context, logFile string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, logFile, self, args...)
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	_ = p.log.Close()
}

// cpu returns the processor time that the process has used.
func (p *process) cpu() time.Duration {
	used, _ := machine.CPU(p.cmd.Process.Pid)
	return used
}

// resident returns the resident memory of the process in bytes.
func (p *process) resident() int {
	kib, _, _ := machine.Memory(p.cmd.Process.Pid)
	return kib << 10
}
