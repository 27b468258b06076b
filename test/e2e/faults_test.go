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

// loadResult is what the client prints after a load.
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

// underLoad runs fault while the client sends 50 logins and checks a second.
func underLoad(t *testing.T, fault func()) loadResult {
	t.Helper()
	e := start(t, "load", "-for", "30m")
	e.awaitStarted(t)
	fault()
	e.stop(t)
	var got loadResult
	e.result(t, &got)
	if got.Offline == 0 {
		t.Error("the client verified no token offline")
	}
	return got
}

// The update also ends the connections of verifiers that wait for revocations, and their cursors mean
// nothing to the new replicas.
func TestRollingUpdateFailsNoRequest(t *testing.T) {
	createPlainUsers(t, 100)
	var verifiers following
	got := underLoad(t, func() {
		e := start(t, "follow", "-verifiers", "30", "-tries", "100", "-until-stopped")
		e.awaitStarted(t)
		restart(t)
		e.stop(t)
		e.result(t, &verifiers)
	})
	if got.OK != got.Requests {
		t.Errorf("%s: %q", got, got.Examples)
	}
	suite.findings.record("rolling update of all three replicas", "%s", got)
	verifiers.check(t, 2000)
	suite.findings.record("the same under 30 waiting verifiers, a user revoked each second",
		"%d checks: %d good tokens refused, %d revoked ones accepted; revoked to refused by all: %s",
		verifiers.Checks, verifiers.Refused, verifiers.Accepted, verifiers)
}

// podCount returns an error unless there are exactly n Pods of the service, including those that
// are ending.
func podCount(t *testing.T, n int) error {
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
		t.Skip("KILL_POD is not set: nothing inside a cluster can send SIGKILL to a container at once")
	}
	killed := 0
	got := underLoad(t, func() {
		for end := time.Now().Add(suite.fault); time.Now().Before(end); hold(t.Context(), 10*time.Second) {
			if ready := replicas(t); len(ready) > 1 { // a cluster that starts Pods too slowly is not the fault of the service
				shell(t, kill, "POD_UID="+string(ready[killed%len(ready)].UID))
				killed++
			}
		}
		eventually(t, 3*time.Minute, "three replicas are ready", func() error { return readyReplicas(t, 3) })
	})
	if got.Wrong > 0 || got.Failed > 0 {
		t.Errorf("%s: %q", got, got.Examples)
	}
	suite.findings.record("SIGKILL of one pod every 10 s for 2 minutes", "%d killed, %s", killed, got)
}

// readyReplicas returns an error unless exactly n replicas are ready.
func readyReplicas(t *testing.T, n int) error {
	t.Helper()
	if ready := len(replicas(t)); ready != n {
		return fmt.Errorf("%d are ready", ready)
	}
	return nil
}

func TestRestartOfAllReplicasForgetsNoRevocation(t *testing.T) {
	n := 10 * suite.tries
	var got struct {
		Revoked, Accepted int
		Kept              bool
		Seconds           float64
	}
	start(t, "restart", "-tries", strconv.Itoa(n)).result(t, &got)
	if got.Revoked != n || got.Accepted != 0 || !got.Kept {
		t.Errorf("%+v, want %d revoked, none accepted, and the other token kept", got, n)
	}
	suite.findings.record("restart of everything, all at once, with 1,000 revoked tokens",
		"%d revoked, %d accepted by any replica afterwards; all ready again after %.0f s", got.Revoked, got.Accepted, got.Seconds)
}

// shell runs a shell command that the environment names.
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
