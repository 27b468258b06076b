package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// loadResult is what the client says of a load.
type loadResult struct {
	Seconds                                 float64
	Requests, OK, Connection, Failed, Wrong int
	Offline                                 int
	LongestMs, P99Ms                        float64
	Examples                                []string
}

func (r loadResult) String() string {
	return fmt.Sprintf("%d requests in %.0f s: %d connections lost, %d failed, %d wrong; p99 %.0f ms",
		r.Requests, r.Seconds, r.Connection, r.Failed, r.Wrong, r.P99Ms)
}

// under does something to the service while 50 requests a second of logins and checks go on.
func under(t *testing.T, fault func()) loadResult {
	t.Helper()
	e := start(t, "load", "-for", "30m")
	e.begun(t)
	fault()
	e.stop(t)
	var got loadResult
	e.result(t, &got)
	if got.Offline == 0 {
		t.Error("no token was verified offline")
	}
	return got
}

func TestRollingUpdateFailsNoRequest(t *testing.T) {
	got := under(t, func() { restart(t) })
	if got.OK != got.Requests {
		t.Errorf("%s: %q", got, got.Examples)
	}
	bench.findings.measured("rolling update of all three replicas", "%s", got)
}

// exactly says whether there are just so many Pods of the service, those that are ending counted.
func exactly(t *testing.T, n int) error {
	t.Helper()
	out, err := kubectl("", "-n", system, "get", "pods", "-l", "app.kubernetes.io/name=gatehouse", "-o", "jsonpath={range .items[*]}x{end}")
	if err == nil && len(out) != n {
		err = fmt.Errorf("%d Pods", len(out))
	}
	return err
}

func TestKilledReplicasGiveNoWrongAnswer(t *testing.T) {
	kill := os.Getenv("KILL_POD")
	if kill == "" {
		t.Skip("KILL_POD is not set: from inside a cluster no container can be ended by SIGKILL at once")
	}
	killed := 0
	got := under(t, func() {
		for end := time.Now().Add(bench.fault); time.Now().Before(end); time.Sleep(10 * time.Second) {
			if ready := replicas(t); len(ready) > 1 { // a cluster that cannot start Pods as fast is no fault of the service
				shell(t, kill, "POD_UID="+string(ready[killed%len(ready)].UID))
				killed++
			}
		}
		eventually(t, 3*time.Minute, "three replicas are ready", func() error { return readyReplicas(t, 3) })
	})
	if got.Wrong > 0 || got.Failed > 0 {
		t.Errorf("%s: %q", got, got.Examples)
	}
	bench.findings.measured("SIGKILL of one pod every 10 s for 2 minutes", "%d killed, %s", killed, got)
}

func readyReplicas(t *testing.T, n int) error {
	t.Helper()
	if ready := len(replicas(t)); ready != n {
		return fmt.Errorf("%d are ready", ready)
	}
	return nil
}

func TestARestartOfEverythingForgetsNoRevocation(t *testing.T) {
	n := 10 * bench.tries
	var got struct {
		Revoked, Accepted int
		Kept              bool
		Seconds           float64
	}
	start(t, "restart", "-tries", strconv.Itoa(n)).result(t, &got)
	if got.Revoked != n || got.Accepted != 0 || !got.Kept {
		t.Errorf("%+v", got)
	}
	bench.findings.measured("restart of everything, all at once, with 1,000 revoked tokens",
		"%d revoked, %d accepted by any replica afterwards; all ready again after %.0f s", got.Revoked, got.Accepted, got.Seconds)
}

// shell runs a hook.
func shell(t *testing.T, command string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}
