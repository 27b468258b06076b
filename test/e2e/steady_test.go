package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestMemoryWithAThousandUsers measures replicas that have just started, so that the work of other
// tests does not count, and measures twice: soon after the start, with what that took, and after
// they have been idle for a while.
func TestMemoryWithAThousandUsers(t *testing.T) {
	createUsers(t, 1000)
	restart(t)
	hold(t.Context(), 20*time.Second)
	soon := resident(t)
	hold(t.Context(), suite.fault)
	idle := resident(t)
	if max(soon, idle) >= 64 {
		t.Errorf("a replica takes %.0f MiB 20 s after the start and %.0f MiB after %s more", soon, idle, suite.fault)
	}
	suite.findings.record("idle memory of one replica with 1,000 users",
		"%.0f MiB resident 20 s after the start, %.0f MiB after %s more, the largest of three", soon, idle, suite.fault)
}

// TestRotationRejectsNoToken takes more than the twenty minutes for which the service publishes a
// key before it signs with it.
func TestRotationRejectsNoToken(t *testing.T) {
	if os.Getenv("E2E_ROTATION") == "" {
		t.Skip("E2E_ROTATION is not set: a rotation takes half an hour")
	}
	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "gatehouse-keys"}}
	signingKey := func() string {
		if err := suite.Get(t.Context(), client.ObjectKeyFromObject(keys), keys); err != nil {
			t.Fatal(err)
		}
		return keys.Annotations["auth.gatehouse.dev/current-signing-key"]
	}
	before := signingKey()
	got := underLoad(t, func() {
		if out := plugin(t, "keys", "rotate", "-n", system); !strings.Contains(out, before) {
			t.Errorf("keys rotate does not show key %s:\n%s", before, out)
		}
		eventually(t, 30*time.Minute, "another key signs", func() error {
			if signingKey() == before {
				return fmt.Errorf("still key %s", before)
			}
			return nil
		})
		hold(t.Context(), 6*time.Minute) // longer than any verifier caches the JWKS
	})
	if got.Wrong > 0 {
		t.Errorf("%s: %q", got, got.Examples)
	}
	suite.findings.record("key rotation under load, verifiers that cache the JWKS", "%d tokens verified offline; %s", got.Offline, got)
}

// TestTwoReplicasInTurnConform asks the replicas by their own addresses, which their certificate
// does not name.
func TestTwoReplicasInTurnConform(t *testing.T) {
	folder := os.Getenv("CONFORMANCE_DIR")
	if folder == "" {
		t.Skip("CONFORMANCE_DIR is not set")
	}
	address := net.JoinHostPort(threeReplicas(t)[0].Status.PodIP, "8443")
	probe, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		t.Skipf("the runner cannot reach a replica by its own address from this machine: %v", err)
	}
	probe.Close()
	cases := filepath.Join(folder, "named", "users.yaml")
	if _, err := kubectl("", "-n", users, "delete", "-k", root+"/config/samples", "--ignore-not-found"); err != nil {
		t.Fatal(err)
	}
	if _, err := kubectl("", "apply", "-f", cases); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, args := range [][]string{{"delete", "-f", cases}, {"apply", "-k", root + "/config/samples"}} {
			if _, err := kubectl("", args...); err != nil {
				t.Error(err)
			}
		}
	})
	var urls []string
	for _, p := range threeReplicas(t)[:2] {
		urls = append(urls, "https://"+net.JoinHostPort(p.Status.PodIP, "8443"))
	}
	hold(t.Context(), 5*time.Second) // until every replica has the users
	runner := exec.Command("go", "run", ".", "-url", strings.Join(urls, ","), "-insecure", "-retry", "2s",
		"-skip", "lock|guess|failures|remembered|a UID that is given is kept") // in a cluster the API server gives UIDs
	runner.Dir = filepath.Join(folder, "run")
	out, err := runner.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, " passed, ") {
			suite.findings.record("conformance cases, two replicas in turn", "%s", strings.TrimSpace(line))
		}
	}
}
