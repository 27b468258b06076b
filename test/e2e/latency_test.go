package e2e

import (
	"strconv"
	"testing"
)

type latencies struct {
	Tries                   int
	P50Ms, P99Ms, LongestMs float64
}

func TestReplicasFollowARevocationWithinASecond(t *testing.T) {
	checkLatency(t, "revocations", "`revoked: true` to refused by all three replicas", 1000)
}

func TestReplicasFollowANewPasswordWithinTwoSeconds(t *testing.T) {
	checkLatency(t, "secrets", "Secret changed: old password refused, new accepted, on all three", 2000)
}

// When kubectl wait --for=condition=Enforced returns, no replica accepts the user any longer.
func TestEnforcedMeansThatNoReplicaAccepts(t *testing.T) {
	var got struct {
		latencies
		Accepted int
	}
	load := underLoad(t, func() {
		start(t, "enforced", "-replicas", addresses(t, 8443), "-tries", strconv.Itoa(suite.tries)).result(t, &got)
	})
	const limit = 3000
	if got.P99Ms > limit || got.Accepted > 0 {
		t.Errorf("p99 is %.0f ms, want less than %d; %d answers accepted afterwards", got.P99Ms, limit, got.Accepted)
	}
	if load.Wrong > 0 || load.Failed > 0 {
		t.Errorf("%s: %q", load, load.Examples)
	}
	suite.findings.record("`revoked: true` to `Enforced`, under load", "p50 %.0f ms, p99 %.0f ms, longest %.0f ms, %d tries; %d accepted afterwards",
		got.P50Ms, got.P99Ms, got.LongestMs, got.Tries, got.Accepted)
}

// checkLatency runs an experiment that measures how soon all replicas follow a change, and compares
// its 99th percentile with limit, in milliseconds.
func checkLatency(t *testing.T, experiment, row string, limit float64) {
	t.Helper()
	var got latencies
	start(t, experiment, "-replicas", addresses(t, 8443), "-tries", strconv.Itoa(suite.tries)).result(t, &got)
	if got.P99Ms > limit {
		t.Errorf("p99 is %.0f ms, want less than %.0f", got.P99Ms, limit)
	}
	suite.findings.record(row, "p50 %.0f ms, p99 %.0f ms, longest %.0f ms, %d tries", got.P50Ms, got.P99Ms, got.LongestMs, got.Tries)
}
