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
