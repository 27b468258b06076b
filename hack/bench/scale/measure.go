package scale

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/bench/machine"
)

// row is what a run measures at one size and layout.
type row struct {
	Users, Secrets, Tenants int
	Layout                  layout
	Ready, CPU              float64 // seconds from the start of the process, and of processor time, until it is ready
	ReadyKiB                int     // resident when ready
	IdleKiB                 int     // resident some time later
	PeakKiB                 int     // the most until then
	Requests                requests
	Revoked                 changes
	Password                changes
}

// measure starts an API server with the dataset, starts the service on it, and takes the figures.
func measure(ctx context.Context, s *settings, d dataset) (_ row, err error) {
	scratch, err := os.MkdirTemp("", "gatehouse-bench-scale-")
	if err != nil {
		return row{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	data, err := filledCopy(ctx, s, d, scratch)
	if err != nil {
		return row{}, err
	}
	measured := row{Users: d.users, Secrets: d.secrets(), Tenants: d.tenants(), Layout: d.layout}
	err = withCluster(s, data, scratch, true, func(c *cluster) error {
		if err := c.warm(ctx, d); err != nil {
			return err
		}
		logProgress("measuring %d users, %s", d.users, d.layout)
		return measured.take(ctx, s, c, scratch)
	})
	return measured, err
}

// take starts the service and fills in the row.
func (r *row) take(ctx context.Context, s *settings, c *cluster, scratch string) (err error) {
	p, ready, err := startService(ctx, s, c, scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	cpu, err := machine.CPU(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	r.Ready, r.CPU = ready.Seconds(), cpu.Seconds()
	if r.ReadyKiB, _, err = machine.Memory(p.cmd.Process.Pid); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.idle):
	}
	if r.IdleKiB, r.PeakKiB, err = machine.Memory(p.cmd.Process.Pid); err != nil {
		return err
	}
	if r.Requests, err = readAudit(c.audit); err != nil {
		return err
	}
	r.Revoked, r.Password, err = measureChanges(ctx, c, dataset{users: r.Users, layout: r.Layout}, p)
	return err
}
