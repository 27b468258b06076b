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
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestAThousandUsersNeedLittleMemory gives replicas that have just started their users, so that the work of other tests does
// not count, and looks twice: soon, with what the start took, and when they have been idle for a while.
func TestAThousandUsersNeedLittleMemory(t *testing.T) {
	makeUsers(t, 1000)
	restart(t)
	time.Sleep(20 * time.Second)
	soon := resident(t)
	time.Sleep(bench.fault)
	idle := resident(t)
	if max(soon, idle) >= 64 {
		t.Errorf("a replica takes %.0f MiB 20 s after the start and %.0f MiB after %s more", soon, idle, bench.fault)
	}
	bench.findings.measured("idle memory of one replica with 1,000 users",
		"%.0f MiB resident 20 s after the start, %.0f MiB after %s more, the largest of three", soon, idle, bench.fault)
}

// TestRotationRejectsNoToken takes the twenty minutes and more that a key is published before it signs.
func TestRotationRejectsNoToken(t *testing.T) {
	if os.Getenv("E2E_ROTATION") == "" {
		t.Skip("E2E_ROTATION is not set: a rotation takes half an hour")
	}
	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "gatehouse-keys"}}
	current := func() string {
		if err := bench.Get(t.Context(), client.ObjectKeyFromObject(keys), keys); err != nil {
			t.Fatal(err)
		}
		return keys.Annotations["auth.gatehouse.dev/current-signing-key"]
	}
	before := current()
	got := under(t, func() {
		request := client.RawPatch(types.MergePatchType, []byte(`{"stringData":{"rotation-request":""}}`))
		if err := bench.Patch(t.Context(), keys, request); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Minute, "another key signs", func() error {
			if current() == before {
				return fmt.Errorf("still %s", before)
			}
			return nil
		})
		time.Sleep(6 * time.Minute) // longer than any verifier's cache
	})
	if got.Wrong > 0 {
		t.Errorf("%s: %q", got, got.Examples)
	}
	bench.findings.measured("key rotation under load, verifiers that cache the JWKS", "%d tokens verified offline; %s", got.Offline, got)
}

// TestTwoReplicasInTurnConform asks the replicas by their own addresses, which their certificate does not name.
func TestTwoReplicasInTurnConform(t *testing.T) {
	folder := os.Getenv("CONFORMANCE_DIR")
	if folder == "" {
		t.Skip("CONFORMANCE_DIR is not set")
	}
	address := net.JoinHostPort(replicas(t)[0].Status.PodIP, "8443")
	probe, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		t.Skipf("the runner cannot reach a replica by its own address from here: %v", err)
	}
	probe.Close()
	cases := filepath.Join(folder, "users.yaml")
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
	for _, p := range replicas(t)[:2] {
		urls = append(urls, "https://"+net.JoinHostPort(p.Status.PodIP, "8443"))
	}
	time.Sleep(5 * time.Second) // until every replica has the users
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
			bench.findings.measured("conformance cases, two replicas in turn", "%s", strings.TrimSpace(line))
		}
	}
}
