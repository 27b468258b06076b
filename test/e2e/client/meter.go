package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// sampleEvery is how often a meter reads the metrics: each reading costs the service some work.
const sampleEvery = 5 * time.Second

// usage is what all replicas together take, in MiB resident and in cores.
type usage struct {
	Without float64   `json:"withoutMiB"` // without verifiers
	Joining float64   `json:"joiningMiB"` // when all verifiers have just connected
	Waiting float64   `json:"waitingMiB"` // while all wait
	Samples []float64 `json:"samplesMiB"` // then, every sampleEvery
	Cores   float64   `json:"cores"`      // since all wait
}

// meter reads the metrics of the replicas. Without replicas it does nothing.
type meter struct {
	cluster  *cluster
	settle   time.Duration // how long what came before may still take memory
	replicas []*service
	result   usage
	begun    time.Time
	cpu      float64 // seconds until then
	sampled  time.Time
}

// newMeter returns a meter that has read what the service takes without verifiers.
func newMeter(ctx context.Context, s *settings, c *cluster) (*meter, error) {
	m := &meter{cluster: c, settle: s.settle}
	for _, address := range s.replicas {
		one, err := dial(s, strings.Replace(address, ":8443", ":8080", 1), false)
		if err != nil {
			return nil, err
		}
		m.replicas = append(m.replicas, one)
	}
	if len(m.replicas) > 0 {
		pause(ctx, m.settle)
	}
	var err error
	m.result.Without, err = m.resident(ctx)
	return m, err
}

// begin returns once all verifiers wait.
func (m *meter) begin(ctx context.Context, verifiers int) error {
	if len(m.replicas) == 0 {
		return nil
	}
	for end := time.Now().Add(readyTimeout); ; {
		waiting, err := m.total(ctx, "gatehouse_revocations_waiting")
		if err != nil {
			return err
		}
		if int(waiting) == verifiers {
			break
		}
		if time.Now().After(end) || !pause(ctx, pollEvery) {
			return fmt.Errorf("%.0f of %d verifiers wait", waiting, verifiers)
		}
	}
	var err error
	if m.result.Joining, err = m.resident(ctx); err != nil {
		return err
	}
	pause(ctx, m.settle)
	if m.result.Waiting, err = m.resident(ctx); err != nil {
		return err
	}
	m.begun, m.sampled = time.Now(), time.Now()
	m.cpu, err = m.total(ctx, "process_cpu_seconds_total")
	return err
}

// sample reads the memory if it is time.
func (m *meter) sample(ctx context.Context) error {
	if len(m.replicas) == 0 || time.Since(m.sampled) < sampleEvery {
		return nil
	}
	m.sampled = time.Now()
	resident, err := m.resident(ctx)
	m.result.Samples = append(m.result.Samples, resident)
	return err
}

// end returns what the service took, or nil without replicas.
func (m *meter) end(ctx context.Context) (*usage, error) {
	if len(m.replicas) == 0 {
		return nil, nil
	}
	cpu, err := m.total(ctx, "process_cpu_seconds_total")
	m.result.Cores = (cpu - m.cpu) / time.Since(m.begun).Seconds()
	return &m.result, err
}

func (m *meter) resident(ctx context.Context) (float64, error) {
	bytes, err := m.total(ctx, "process_resident_memory_bytes")
	return bytes / (1 << 20), err
}

// total returns the sum of a metric over all replicas.
func (m *meter) total(ctx context.Context, name string) (sum float64, _ error) {
	for _, r := range m.replicas {
		a, err := r.do(ctx, http.MethodGet, "/metrics", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+m.cluster.token) })
		if err := wantOK(a, err); err != nil {
			return 0, fmt.Errorf("read the metrics: %w", err)
		}
		value, err := metric(string(a.body), name)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}
