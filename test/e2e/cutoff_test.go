package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// TestReplicaThatIsCutOffStopsAnswering drops what one replica sends to the API server. The replica lives,
// and its clients reach it.
func TestReplicaThatIsCutOffStopsAnswering(t *testing.T) {
	cut, mend := os.Getenv("CUT_OFF"), os.Getenv("RECONNECT")
	if cut == "" || mend == "" {
		t.Skip("CUT_OFF and RECONNECT are not set: nothing inside a cluster can drop what a Pod sends")
	}
	bound := max(30*time.Second, suite.fault/2)
	if err := install("--maximum-staleness=" + bound.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := install(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, 2*time.Minute, "only the new replicas are left", func() error { return podCount(t, 3) })
	addresses(t, 8443) // waits until they are ready
	pod := threeReplicas(t)[0]
	env := "POD_IP=" + pod.Status.PodIP
	e := start(t, "cutoff", "-replicas", pod.Status.PodIP+":8443")
	e.awaitStarted(t)
	t.Cleanup(func() { revoke(t, false) })

	shell(t, cut, env)
	connected := false
	reconnect := func() {
		if !connected {
			connected = true
			shell(t, mend, env)
		}
	}
	defer reconnect()
	begun := time.Now()
	generation := revoke(t, true)
	var named, unheard time.Duration // after the cut
	for after := time.Duration(0); after < bound+5*time.Second || unheard == 0 && after < bound+30*time.Second; after = time.Since(begun) {
		switch c := enforcedCondition(t, generation); {
		case c == nil:
		case c.Status != metav1.ConditionFalse:
			t.Fatalf("with a replica cut off, Enforced is %s: %s", c.Status, c.Message)
		case !strings.Contains(c.Message, pod.Name):
			t.Errorf("Enforced does not name %s: %s", pod.Name, c.Message)
		case named == 0:
			named = time.Since(begun)
		case c.Reason == authv1alpha1.ReasonReplicaUnheard && unheard == 0:
			unheard = after
		}
		hold(t.Context(), 500*time.Millisecond)
	}
	if named == 0 || unheard == 0 {
		t.Errorf("after %s, Enforced has named the replica: %t, as unheard: %t", time.Since(begun), named > 0, unheard > 0)
	}
	reconnect()
	mended := time.Now()
	eventually(t, 2*time.Minute, "Enforced is True again", func() error {
		if c := enforcedCondition(t, generation); c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	again := time.Since(mended)
	eventually(t, 2*time.Minute, "three replicas are ready", func() error { return readyReplicas(t, 3) })
	e.stop(t)
	var got struct {
		AnsweredSeconds, RefusedSeconds float64
		Refusals                        int
		Back                            bool
		Wrong                           []string
	}
	e.result(t, &got)
	// The replica tells the time of its last sign of life in whole seconds, rounded down.
	if got.AnsweredSeconds > bound.Seconds()+1 || got.RefusedSeconds < bound.Seconds() || got.RefusedSeconds > bound.Seconds()+2 || !got.Back || len(got.Wrong) > 0 {
		t.Errorf("with --maximum-staleness %s: %+v", bound, got)
	}
	suite.findings.record("one replica cut off from the API server, `--maximum-staleness 60s`",
		"a bound of %s: verdicts until %.1f s after the last sign of life, 503 from %.1f s on, %d times, and no other answer; `Enforced` False and naming it after %.1f s, as unheard after %.0f s; True %.1f s after the end",
		bound, got.AnsweredSeconds, got.RefusedSeconds, got.Refusals, named.Seconds(), unheard.Seconds(), again.Seconds())
}

// revoke sets spec.revoked of the User that the experiments change, and returns its generation.
func revoke(t *testing.T, revoked bool) int64 {
	t.Helper()
	out, err := kubectl("", "-n", users, "patch", "user.auth.gatehouse.dev", "e2e-changed", "--type=merge",
		"-p", fmt.Sprintf(`{"spec":{"revoked":%t}}`, revoked), "-o", "jsonpath={.metadata.generation}")
	if err != nil {
		t.Fatal(err)
	}
	generation, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return generation
}

// enforcedCondition returns the condition of that User if it is about a generation, or nil.
func enforcedCondition(t *testing.T, generation int64) *metav1.Condition {
	t.Helper()
	var u authv1alpha1.User
	if err := suite.Get(t.Context(), client.ObjectKey{Namespace: users, Name: "e2e-changed"}, &u); err != nil {
		t.Fatal(err)
	}
	for _, c := range u.Status.Conditions {
		if c.Type == authv1alpha1.ConditionEnforced && c.ObservedGeneration == generation {
			return &c
		}
	}
	return nil
}
