package scale

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/bench/machine"
)

// service is the measured process.
type service struct {
	cmd  *exec.Cmd
	done chan error
	base string // https://ADDRESS
	http *http.Client
}

// startService starts the binary and returns how long it took to be ready.
func startService(ctx context.Context, s *settings, c *cluster, scratch string) (*service, time.Duration, error) {
	addresses, err := machine.FreeAddresses(2)
	if err != nil {
		return nil, 0, err
	}
	address, probe := addresses[0], addresses[1]
	logs, err := os.Create(filepath.Join(scratch, "gatehouse.log"))
	if err != nil {
		return nil, 0, err
	}
	defer logs.Close()
	p := &service{done: make(chan error, 1), base: "https://" + address, http: newHTTP()}
	p.cmd = exec.Command(s.binary, "serve", "--bind-address", address, "--health-probe-bind-address", probe,
		"--metrics-bind-address", "0", "--namespaces", usersNamespace, "--drain-delay", "0s")
	p.cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "POD_NAMESPACE="+serviceNamespace)
	p.cmd.Stderr = logs
	begun := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, 0, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	if err := p.awaitReady(ctx, "http://"+probe+"/readyz"); err != nil {
		text, _ := os.ReadFile(logs.Name())
		return nil, 0, errors.Join(fmt.Errorf("%w; its log ends with\n%s", err, tail(string(text), 10)), p.stop())
	}
	return p, time.Since(begun), nil
}

// awaitReady asks until the answer is 200.
func (p *service) awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		if status, err := p.ask(ctx, url, nil); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case err := <-p.done:
			p.done <- err
			return fmt.Errorf("%s ended before it was ready: %w", p.cmd.Path, err)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.cmd.Path, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends the process and waits for it.
func (p *service) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("the service did not end within 30 s of SIGTERM; killed it"), p.cmd.Process.Kill())
	}
}

// ask sends one GET and returns the status of the answer.
func (p *service) ask(ctx context.Context, url string, header http.Header) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header = header
	answer, err := p.http.Do(req)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// newHTTP returns a client that keeps its connections, with a long timeout for a machine that
// others use too. It trusts any certificate: the address belongs to the process that startService
// started.
func newHTTP() *http.Client {
	return &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		MaxIdleConnsPerHost: 64,
	}}
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
