package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/gauge"
)

// row is what was measured at one size.
type row struct {
	Users, Secrets int
	Layout         layout
	Ready, CPU     float64 // seconds from the start of the process, and of processor time, until it is ready
	ReadyKiB       int     // resident when ready
	IdleKiB        int     // resident some time later
	PeakKiB        int     // the most until then
	Requests       requests
	Revoked        changes
	Password       changes
}

// measure fills an API server, starts the service on it and looks.
func measure(ctx context.Context, s *settings, w world) (_ row, err error) {
	scratch, err := os.MkdirTemp("", "benchscale-")
	if err != nil {
		return row{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	data, err := filled(ctx, s, w, scratch)
	if err != nil {
		return row{}, err
	}
	out := row{Users: w.users, Secrets: w.secrets(), Layout: w.layout}
	err = withCluster(s, data, scratch, true, func(c *cluster) error {
		if err := c.warm(ctx, w); err != nil {
			return err
		}
		progress("measuring %d users, %s", w.users, w.layout)
		return out.take(ctx, s, c, scratch)
	})
	return out, err
}

// take starts the service and fills in the row.
func (r *row) take(ctx context.Context, s *settings, c *cluster, scratch string) (err error) {
	p, ready, err := startService(ctx, s, c, scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	cpu, err := gauge.CPU(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	r.Ready, r.CPU = ready.Seconds(), cpu.Seconds()
	if r.ReadyKiB, _, err = gauge.Memory(p.cmd.Process.Pid); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.idle):
	}
	if r.IdleKiB, r.PeakKiB, err = gauge.Memory(p.cmd.Process.Pid); err != nil {
		return err
	}
	if r.Requests, err = readAudit(c.audit); err != nil {
		return err
	}
	r.Revoked, r.Password, err = measureChanges(ctx, c, world{users: r.Users, layout: r.Layout}, p)
	return err
}
