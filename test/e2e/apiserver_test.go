package e2e

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

// TestLoginsAndChecksGoOnWithoutTheAPIServer also asks for what cannot be done without one: it must be refused with 503, and
// nothing that was promised may be forgotten.
func TestLoginsAndChecksGoOnWithoutTheAPIServer(t *testing.T) {
	stop, begin := os.Getenv("APISERVER_STOP"), os.Getenv("APISERVER_START")
	if stop == "" || begin == "" {
		t.Skip("APISERVER_STOP and APISERVER_START are not set")
	}
	watcher := start(t, "away", "-replicas", addresses(t, 8443), "-login", "jeanjackson@example.com", "-password", "Lantern-Orchard-27-Violet")
	watcher.begun(t)
	got := under(t, func() {
		shell(t, stop)
		defer func() {
			shell(t, begin)
			eventually(t, 2*time.Minute, "the API server answers again", func() error {
				_, err := kubectl("", "get", "--raw", "/readyz")
				return err
			})
		}()
		time.Sleep(bench.fault)
	})
	if got.OK != got.Requests {
		t.Errorf("%s: %q", got, got.Examples)
	}
	bench.findings.measured("API server stopped for 2 minutes", "%s", got)
	watcher.stop(t)
	watched(t, watcher)
}

func watched(t *testing.T, watcher *experiment) {
	t.Helper()
	var got struct {
		Rounds, Unavailable, Issued, Granted, Broken int
		AwaySeconds, AgeSeconds, CaughtUpSeconds     float64
		Examples                                     []string
	}
	watcher.result(t, &got)
	if got.Rounds == 0 || got.Unavailable != 2*got.Rounds || got.Issued != got.Rounds {
		t.Errorf("in %d rounds without an API server %d of two each were 503 and %d tokens without a label were issued: %q",
			got.Rounds, got.Unavailable, got.Issued, got.Examples)
	}
	if got.Granted == 0 || got.Broken != 0 || len(got.Examples) > 0 {
		t.Errorf("of %d promises %d were broken: %q", got.Granted, got.Broken, got.Examples)
	}
	// The age counts from the last news before, which the watcher itself made a second earlier at most.
	if got.AwaySeconds < 5 || got.AgeSeconds < got.AwaySeconds-2 || got.AgeSeconds > got.AwaySeconds+15 {
		t.Errorf("after %.0f s without an API server gatehouse_directory_last_event_age_seconds is %.0f", got.AwaySeconds, got.AgeSeconds)
	}
	if got.CaughtUpSeconds > 20 {
		t.Errorf("a change was followed by all %.1f s after the API server was back", got.CaughtUpSeconds)
	}
	bench.findings.measured("new labels and single revocations meanwhile, each once a second",
		"%d of %d were 503, %d of %d promises broken; age of the last event %.0f s after %.0f s; all followed a change %.1f s after it was back",
		got.Unavailable, 2*got.Rounds, got.Broken, got.Granted, got.AgeSeconds, got.AwaySeconds, got.CaughtUpSeconds)
}

// TestTheUsersNamespaceCanBeDeletedAndMadeAnew ends every user and every token, and the service takes up the new ones by
// itself.
func TestTheUsersNamespaceCanBeDeletedAndMadeAnew(t *testing.T) {
	there := outsiders(t)
	status, old := there[0].token(t)
	if status != http.StatusOK || !there[0].takes(t, old) {
		t.Fatalf("no token before: %d", status)
	}
	if _, err := kubectl("", "delete", "namespace", users, "--timeout=120s"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() { // the other tests need it
			_ = install()
		}
	})
	everywhere := func(what string, holds func(outsider) bool) {
		eventually(t, 2*time.Minute, what, func() error {
			for i, o := range there {
				if !holds(o) {
					return fmt.Errorf("not on replica %d", i)
				}
			}
			return nil
		})
	}
	refused := func(o outsider) bool { status, _ := o.token(t); return status == http.StatusUnauthorized }
	everywhere("nobody logs in any more", refused)
	everywhere("the old token is refused", func(o outsider) bool { return !o.takes(t, old) })
	if err := readyReplicas(t, len(there)); err != nil {
		t.Errorf("without the namespace: %v", err)
	}
	if err := install(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	everywhere("the new users log in", func(o outsider) bool { status, _ := o.token(t); return status == http.StatusOK })
	took := time.Since(begin)
	everywhere("the old token is still refused", func(o outsider) bool { return !o.takes(t, old) })
	eventually(t, 2*time.Minute, "the CA is published again", func() error {
		_, err := kubectl("", "-n", users, "get", "configmap", "gatehouse-ca")
		return err
	})
	bench.findings.measured("users' namespace deleted and made anew",
		"all replicas refused old users and tokens and stayed ready; the new users logged in on all %.0f s after they were applied", took.Seconds())
}
