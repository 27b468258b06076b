package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

// TestLoginsAndChecksGoOnWithoutTheAPIServer also asks for what needs the API server. The service
// must refuse it with 503, and may forget nothing that it promised before.
func TestLoginsAndChecksGoOnWithoutTheAPIServer(t *testing.T) {
	stop, begin := os.Getenv("APISERVER_STOP"), os.Getenv("APISERVER_START")
	if stop == "" || begin == "" {
		t.Skip("APISERVER_STOP and APISERVER_START are not set")
	}
	watcher := start(t, "away", "-replicas", addresses(t, 8443), "-login", "jeanjackson@example.com", "-password", "Lantern-Orchard-27-Violet")
	watcher.awaitStarted(t)
	got := underLoad(t, func() {
		shell(t, stop)
		defer func() {
			shell(t, begin)
			eventually(t, 2*time.Minute, "the API server answers again", func() error {
				_, err := kubectl("", "get", "--raw", "/readyz")
				return err
			})
		}()
		hold(t.Context(), suite.fault)
	})
	if got.OK != got.Requests {
		t.Errorf("%s: %q", got, got.Examples)
	}
	suite.findings.record("API server stopped for 2 minutes", "%s", got)
	watcher.stop(t)
	checkWatcher(t, watcher)
}

// checkWatcher checks what the client saw while the API server was away.
func checkWatcher(t *testing.T, watcher *experiment) {
	t.Helper()
	var got struct {
		Rounds, Unavailable, Issued, Granted, Broken int
		AwaySeconds, AgeSeconds, CaughtUpSeconds     float64
		Examples                                     []string
	}
	watcher.result(t, &got)
	if got.Rounds == 0 || got.Unavailable != 2*got.Rounds || got.Issued != got.Rounds {
		t.Errorf("in %d rounds without an API server, with two refusals due in each, %d answers were 503, and the service issued %d tokens without a label: %q",
			got.Rounds, got.Unavailable, got.Issued, got.Examples)
	}
	if got.Granted == 0 || got.Broken != 0 || len(got.Examples) > 0 {
		t.Errorf("the service broke %[2]d of %[1]d promises: %[3]q", got.Granted, got.Broken, got.Examples)
	}
	// The age counts from the last event before, which the watcher itself caused at most a second
	// earlier.
	if got.AwaySeconds < 5 || got.AgeSeconds < got.AwaySeconds-2 || got.AgeSeconds > got.AwaySeconds+15 {
		t.Errorf("after %.0f s without an API server gatehouse_directory_last_event_age_seconds is %.0f", got.AwaySeconds, got.AgeSeconds)
	}
	if got.CaughtUpSeconds > 20 {
		t.Errorf("all replicas followed a change only %.1f s after the API server was back", got.CaughtUpSeconds)
	}
	suite.findings.record("new labels and single revocations meanwhile, each once a second",
		"%d of %d were 503, %d of %d promises broken; age of the last event %.0f s after %.0f s; all followed a change %.1f s after it was back",
		got.Unavailable, 2*got.Rounds, got.Broken, got.Granted, got.AgeSeconds, got.AwaySeconds, got.CaughtUpSeconds)
}

// TestUsersNamespaceDeletedAndCreatedAgain ends every user and every token. The service picks up
// the new ones by itself.
func TestUsersNamespaceDeletedAndCreatedAgain(t *testing.T) {
	clients := outsiders(t)
	status, old := clients[0].token(t)
	if status != http.StatusOK || !clients[0].accepts(t, old) {
		t.Fatalf("no token before the deletion: %d", status)
	}
	holdRecord(t)
	if _, err := kubectl("", "delete", "namespace", users, "--timeout=120s"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() { // the other tests need it
			_ = install()
		}
	})
	onEveryReplica := func(what string, holds func(outsider) bool) {
		eventually(t, 2*time.Minute, what, func() error {
			for i, o := range clients {
				if !holds(o) {
					return fmt.Errorf("not on replica %d", i)
				}
			}
			return nil
		})
	}
	refused := func(o outsider) bool { status, _ := o.token(t); return status == http.StatusUnauthorized }
	onEveryReplica("the old users cannot log in", refused)
	onEveryReplica("the service refuses the old token", func(o outsider) bool { return !o.accepts(t, old) })
	if err := readyReplicas(t, len(clients)); err != nil {
		t.Errorf("without the namespace: %v", err)
	}
	if err := install(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	onEveryReplica("the new users can log in", func(o outsider) bool { status, _ := o.token(t); return status == http.StatusOK })
	took := time.Since(begin)
	onEveryReplica("the service still refuses the old token", func(o outsider) bool { return !o.accepts(t, old) })
	eventually(t, 2*time.Minute, "the CA is published again", func() error {
		_, err := kubectl("", "-n", users, "get", "configmap", "gatehouse-ca")
		return err
	})
	suite.findings.record("users' namespace deleted and created again",
		"all replicas refused old users and tokens and stayed ready; the new users logged in on all %.0f s after they were applied", took.Seconds())
}

// holdRecord makes the record of a revoked token, and waits until a finalizer holds it.
func holdRecord(t *testing.T) {
	t.Helper()
	uid, err := kubectl("", "-n", users, "get", "user", "jeanjackson", "-o", "jsonpath={.metadata.uid}")
	if err != nil {
		t.Fatal(err)
	}
	const micro = "2006-01-02T15:04:05.000000Z"
	now := time.Now().UTC()
	record := fmt.Sprintf(`apiVersion: auth.gatehouse.dev/v1alpha1
kind: Token
metadata: {name: held, namespace: %s}
spec: {userRef: {name: jeanjackson, uid: %s}, tokenID: held, kind: JWT, revoked: true, issuedAt: %q, expiresAt: %q}
`,
		users, uid, now.Format(micro), now.Add(time.Hour).Format(micro))
	if _, err := kubectl(record, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the record is held", func() error {
		out, err := kubectl("", "-n", users, "get", "token", "held", "-o", "jsonpath={.metadata.finalizers}")
		if err == nil && out == "" {
			err = errors.New("it has no finalizer")
		}
		return err
	})
}
