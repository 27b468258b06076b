package foreign_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program returns the path of a program. It looks in the folders of FOREIGN_PROGRAMS, which
// make test-foreign sets, and skips the test without them.
func program(t *testing.T, name string) string {
	t.Helper()
	folders := os.Getenv("FOREIGN_PROGRAMS")
	if folders == "" {
		t.Skip("FOREIGN_PROGRAMS is not set; run make test-foreign")
	}
	for _, folder := range filepath.SplitList(folders) {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv("BUILD_UNTIL") != "" {
		t.Skipf("there was no time to build %s", name)
	}
	t.Fatalf("%s is in none of the folders %s", name, folders)
	return ""
}

// installed returns the path of a program of Debian. Like program, it skips the test outside of
// make test-foreign.
func installed(t *testing.T, path string) string {
	t.Helper()
	if os.Getenv("FOREIGN_PROGRAMS") == "" {
		t.Skip("FOREIGN_PROGRAMS is not set; run make test-foreign")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// output collects what a program prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs a program until the test ends, in a folder of its own, and waits until it listens at
// address. A failed test shows what the program printed.
func start(t *testing.T, address, path string, args ...string) {
	t.Helper()
	var printed output
	command := exec.Command(path, args...)
	command.Dir = t.TempDir()
	// Programs keep state under these, and tests must not share it with the machine.
	command.Env = append(os.Environ(), "HOME="+command.Dir, "XDG_DATA_HOME="+command.Dir, "XDG_CONFIG_HOME="+command.Dir)
	command.Stdout, command.Stderr = &printed, &printed
	// A program may fork workers, so the end of the test signals the whole group.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s printed:\n%s", path, printed.String())
		}
	})
	eventually(t, 60*time.Second, func() bool {
		select {
		case err := <-ended:
			t.Fatalf("%s ended: %v\n%s", path, err, printed.String())
		default:
		}
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = connection.Close()
		return true
	})
}

// run runs a program to its end and returns what it prints on standard output. The environment of
// the program has the given variables in addition.
func run(t *testing.T, environment []string, path string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), path, args...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", path, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// handedOut holds the addresses that freeAddress has returned.
var handedOut sync.Map

// freeAddress returns an address at which no process listens. It never returns one twice, because
// the one that asked for it first may not listen yet.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := listener.Addr().String()
		_ = listener.Close()
		if _, again := handedOut.LoadOrStore(address, true); !again {
			return address
		}
	}
}

// eventually waits until holds returns true. It fails the test if that takes longer than limit.
func eventually(t *testing.T, limit time.Duration, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("the condition does not hold after %s", limit)
		case <-tick.C:
		}
	}
}
