//go:build linux

package integration_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

const memoryBudget = 256 << 20

const budgetUsers = `
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: jean}
spec: {passwords: [{plaintextFrom: {secretKeyRef: {name: jean, key: password}}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: jean}
stringData: {password: ` + userPassword + `}
`

// process is a service of its own, from the binary, on a folder of manifests.
type process struct {
	t    *testing.T
	url  string
	ca   *x509.CertPool
	pid  int
	log  string        // path of its standard error
	dead chan struct{} // closed when it has ended
}

// startProcess builds and starts the service. If group is not "", it runs in that cgroup; otherwise Go
// gets the memory limit that it would find there.
func startProcess(t *testing.T, group string) *process {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the binary")
	}
	dir := t.TempDir()
	binary := buildBinary(t, dir)
	manifests, state := filepath.Join(dir, "users"), filepath.Join(dir, "state")
	if err := os.Mkdir(manifests, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(manifests, "users.yaml"), []byte(budgetUsers), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, log: filepath.Join(dir, "log"), dead: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	p.url = "https://localhost:" + port
	enter := ""
	if group != "" {
		enter = "echo $$ >" + group + "/cgroup.procs && "
	}
	cmd := exec.Command("sh", "-c", enter+`exec "$@"`, "sh", binary, "serve", "--manifests", manifests, "--state-dir", state,
		"--bind-address", ":"+port, "--health-probe-bind-address", "127.0.0.1:0", "--metrics-bind-address", "0", "--print-curl", "")
	cmd.Stderr = log
	cmd.Env = append(os.Environ(), "GOMEMLIMIT="+strconv.Itoa(memoryBudget*85/100))
	if group != "" {
		cmd.Env = os.Environ() // the service finds the limit itself
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	go func() { _ = cmd.Wait(); close(p.dead) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		<-p.dead
		_ = log.Close()
	})
	p.await(filepath.Join(state, "ca.crt"))
	return p
}

// await waits until the service answers.
func (p *process) await(caFile string) {
	p.t.Helper()
	apitest.Eventually(p.t, "the service is running", func() bool {
		if !p.alive() {
			text, _ := os.ReadFile(p.log)
			p.t.Fatalf("the service has ended: %s", text)
		}
		pem, err := os.ReadFile(caFile)
		p.ca = x509.NewCertPool()
		if err != nil || !p.ca.AppendCertsFromPEM(pem) {
			return false
		}
		status, _ := p.login(p.client("127.0.0.1", false), "")
		return status == http.StatusOK
	})
}

func (p *process) alive() bool {
	select {
	case <-p.dead:
		return false
	default:
		return true
	}
}

// client returns a client with an address of its own. With h2, it has one connection for everything.
func (p *process) client(address string, h2 bool) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 5 * time.Second}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: p.ca}, ForceAttemptHTTP2: h2,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return dialer.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
		},
	}
	if h2 {
		transport.MaxConnsPerHost = 1
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// login logs in and returns the status.
func (p *process) login(c *http.Client, body string) (int, error) {
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/v1/users/authorize", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth("jean", userPassword)
	response, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// peakMemory returns the most memory that the process has taken, with its pages of files.
func (p *process) peakMemory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return kib << 10
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// memoryGroup makes a cgroup of either version with a memory limit, and returns its folder, or "" if
// this machine lets the test make none.
func memoryGroup(t *testing.T, limit int) string {
	t.Helper()
	for _, file := range []string{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"} {
		parent, name := filepath.Split(file)
		dir := filepath.Join(parent, fmt.Sprintf("gatehouse-test-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			apitest.Eventually(t, "the cgroup is removed", func() bool { return os.Remove(dir) == nil })
		})
		// In a folder that is no cgroup the file does not exist.
		limits, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		defer limits.Close()
		if _, err := limits.WriteString(strconv.Itoa(limit)); err == nil {
			return dir
		}
	}
	return ""
}

// unfinished is a body that stays one byte short until its connection breaks.
type unfinished struct {
	bytes.Reader
	end <-chan struct{}
}

func (u *unfinished) Read(p []byte) (int, error) {
	if n, err := u.Reader.Read(p); err == nil {
		return n, nil
	}
	<-u.end
	return 0, io.ErrUnexpectedEOF
}

// TestMemoryUnderUnfinishedBodies opens 42 connections, each from a network of its own and with 250
// requests whose bodies of 64 KiB never end. Within 256 MiB the process lives, and someone else gets
// nothing worse than 503.
func TestMemoryUnderUnfinishedBodies(t *testing.T) {
	const connections, requests, bodySize = 42, 250, 64 << 10
	group := memoryGroup(t, memoryBudget)
	p := startProcess(t, group)
	body, end := bytes.Repeat([]byte(" "), bodySize-1), make(chan struct{})
	var attack sync.WaitGroup
	defer attack.Wait()
	defer close(end)
	for i := range connections {
		attacker := p.client(fmt.Sprintf("127.1.%d.1", i), true)
		for range requests {
			attack.Go(func() {
				u := &unfinished{end: end}
				u.Reset(body)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/rbac-api/v1/auth/token", u)
				if err != nil {
					t.Error(err)
					return
				}
				r.ContentLength = bodySize
				r.Header.Set("Content-Type", "application/json")
				if response, err := attacker.Do(r); err == nil {
					_ = response.Body.Close()
				}
			})
		}
	}
	victim := p.client("127.2.0.1", false)
	counts := map[int]int{}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	bodies := []string{"", "{}"} // the second takes room for a body
	for start := time.Now(); time.Since(start) < 8*time.Second && p.alive(); <-pace.C {
		status, err := p.login(victim, bodies[total(counts)%len(bodies)])
		if err != nil {
			t.Errorf("a login during the attack: %v", err)
			break
		}
		counts[status]++
	}
	if !p.alive() {
		t.Fatal("the process has ended")
	}
	if counts[http.StatusOK]+counts[http.StatusServiceUnavailable] != total(counts) || counts[http.StatusOK] == 0 {
		t.Errorf("logins during the attack, by status: %v", counts)
	}
	peak := p.peakMemory()
	t.Logf("peak memory %d MiB of %d, in cgroup %q; logins by status: %v", peak>>20, memoryBudget>>20, group, counts)
	if group == "" && peak > memoryBudget { // in a cgroup the kernel ends a process that takes more
		t.Errorf("the process took %d MiB", peak>>20)
	}
}

func total(counts map[int]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}

// TestRefusedRequestsCostFewLogBytes sends refused tokens and passwords as fast as they are answered.
func TestRefusedRequestsCostFewLogBytes(t *testing.T) {
	const requests, bytesEach = 5000, 20
	p := startProcess(t, "")
	before := logSize(t, p.log)
	attacker := p.client("127.3.0.1", true)
	for i := range requests {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/auth/verify", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", fmt.Sprintf("Bearer garbage-%d", i))
		response, err := attacker.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("got status %d", response.StatusCode)
		}
	}
	apitest.Eventually(t, "the count is logged", func() bool {
		text, err := os.ReadFile(p.log)
		return err == nil && bytes.Contains(text, []byte(`"repeated":`))
	})
	grown := logSize(t, p.log) - before
	t.Logf("%d refused requests took %d bytes of log", requests, grown)
	if grown > requests*bytesEach {
		t.Errorf("%d refused requests took %d bytes of log, want at most %d each", requests, grown, bytesEach)
	}
}

func logSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
