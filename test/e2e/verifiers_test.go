package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// following is what the client prints about verifiers that wait for revocations.
type following struct {
	latencies
	Verifiers, Checks, Refused, Accepted int
	Usage                                struct {
		WithoutMiB, JoiningMiB, WaitingMiB, Cores float64
		SamplesMiB                                []float64
	}
	Examples []string
}

func (f following) String() string {
	return fmt.Sprintf("p50 %.0f ms, p99 %.0f ms, longest %.0f ms, %d tries", f.P50Ms, f.P99Ms, f.LongestMs, f.Tries)
}

// check compares the verdicts and the latency with what they must be.
func (f following) check(t *testing.T, limit float64) {
	t.Helper()
	if f.Refused > 0 || f.Accepted > 0 {
		t.Errorf("in %d checks, %d good tokens refused and %d revoked ones accepted: %q", f.Checks, f.Refused, f.Accepted, f.Examples)
	}
	if f.P99Ms > limit {
		t.Errorf("p99 is %.0f ms, want less than %.0f", f.P99Ms, limit)
	}
}

func TestVerifiersFollowARevocationWithinASecond(t *testing.T) {
	createPlainUsers(t, suite.tries)
	var got following
	load := underLoad(t, func() {
		start(t, "follow", "-verifiers", "3", "-tries", strconv.Itoa(suite.tries), "-every", "370ms").result(t, &got)
	})
	got.check(t, 1000)
	if load.Wrong > 0 || load.Failed > 0 {
		t.Errorf("%s: %q", load, load.Examples)
	}
	suite.findings.record("`revoked: true` to refused by three offline verifiers, under load", "%s", got)
}

// TestThousandVerifiersFollow scales with E2E_TRIES: 100 makes 1,000 verifiers and 10,000 users. The
// memory is that of all replicas, once what came before has been collected: logins of the users, and the
// handshakes of all verifiers at once.
func TestThousandVerifiersFollow(t *testing.T) {
	n, verifiers, revocations := 100*suite.tries, 10*suite.tries, min(60, int(suite.fault/time.Second))
	createPlainUsers(t, n)
	settle := 5 * time.Second
	if suite.fault >= time.Minute { // a short run has no time for one more restart
		settle = 20 * time.Second
		restart(t)
	}
	var got following
	load := underLoad(t, func() {
		start(t, "follow", "-replicas", addresses(t, 8443), "-settle", settle.String(),
			"-verifiers", strconv.Itoa(verifiers), "-tries", strconv.Itoa(revocations)).result(t, &got)
	})
	got.check(t, 2000)
	if load.Wrong > 0 || load.Failed > 0 {
		t.Errorf("%s: %q", load, load.Examples)
	}
	u := got.Usage
	if u.Cores > 0.5 {
		t.Errorf("the replicas take %.2f cores together, want less than 0.5", u.Cores)
	}
	samples := append([]float64{u.WaitingMiB}, u.SamplesMiB...)
	most := slices.Max(samples)
	// 1,000 verifiers take 32 MiB while they wait, and garbage while each of them is answered every second.
	if more, limit := most-u.WithoutMiB, 32+float64(verifiers)/8; more > limit {
		t.Errorf("with %d waiting verifiers the replicas take %.0f MiB more, want at most %.0f: %+v", verifiers, more, limit, u)
	}
	suite.findings.record("1,000 verifiers, one of 10,000 users revoked each second for a minute, under load",
		"%d verifiers, %d users: %s; all three replicas together %.2f cores and %.0f MiB resident without verifiers, %.0f when all had just connected, %.0f while they waited, %.0f at most and %.0f at last while users were revoked",
		verifiers, n, got, u.Cores, u.WithoutMiB, u.JoiningMiB, u.WaitingMiB, most, samples[len(samples)-1])
}

// TestVerifiersRefuseToGuessWithoutTheService takes all replicas away. By then a verifier may not have
// heard from them for as long as they wait for a change, and they not from the API server for the ten
// seconds in which each renews its Lease.
func TestVerifiersRefuseToGuessWithoutTheService(t *testing.T) {
	const slack = 12 * time.Second
	bound := min(30*time.Second, suite.fault)
	e := start(t, "gone", "-verifiers", "10", "-staleness", bound.String())
	e.awaitStarted(t)
	scale(t, 0)
	eventually(t, 2*time.Minute, "no replica is left", func() error { return podCount(t, 0) })
	hold(t.Context(), bound+5*time.Second)
	scale(t, 3)
	eventually(t, 3*time.Minute, "three replicas are ready", func() error { return readyReplicas(t, 3) })
	hold(t.Context(), 15*time.Second) // until the cluster leads the clients to them
	e.stop(t)
	var got struct {
		AwaySeconds, AcceptedSeconds, AliveSeconds, BackSeconds float64
		Examples                                                []string
	}
	e.result(t, &got)
	if len(got.Examples) > 0 || got.AliveSeconds > bound.Seconds()+1 || got.AcceptedSeconds < (bound-slack).Seconds() {
		t.Errorf("good tokens were accepted for %.1f s, and at most until %.1f s after a sign of life, want %s: %q",
			got.AcceptedSeconds, got.AliveSeconds, bound, got.Examples)
	}
	if got.BackSeconds > 2 {
		t.Errorf("verifiers accept tokens only %.1f s after the service is back", got.BackSeconds)
	}
	suite.findings.record("no replica left, ten verifiers with `MaximumStaleness` of 30 s",
		"away for %.0f s: all accepted a good token for %.1f s, none for longer than %.1f s after the last sign of life, then `ErrStale`; all accepted it again %.1f s after the first answer",
		got.AwaySeconds, got.AcceptedSeconds, got.AliveSeconds, got.BackSeconds)
}

// scale sets the number of replicas. It is 3 again when the test ends.
func scale(t *testing.T, n int) {
	t.Helper()
	to := func(n int) error {
		_, err := kubectl("", "-n", system, "scale", "deployment/gatehouse", fmt.Sprintf("--replicas=%d", n))
		return err
	}
	if err := to(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := to(3); err != nil {
			t.Error(err)
		}
	})
}

// createPlainUsers creates n users with one password, until the test ends, and waits until every replica
// knows all of them.
func createPlainUsers(t *testing.T, n int) {
	t.Helper()
	removeCrowd(t)
	source := authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: "e2e-changed-password", Key: "passwordHash"}}
	var all errgroup.Group
	all.SetLimit(8)
	for i := range n {
		all.Go(func() error {
			return suite.Create(t.Context(), &authv1alpha1.User{
				ObjectMeta: metav1.ObjectMeta{Namespace: users, Name: fmt.Sprintf("e2e-crowd-%d", i), Labels: crowd()},
				Spec:       authv1alpha1.UserSpec{Passwords: []authv1alpha1.Password{{HashFrom: &source}}},
			})
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Minute, "all users are in force everywhere", func() error {
		var list authv1alpha1.UserList
		if err := suite.List(t.Context(), &list, client.InNamespace(users), crowd()); err != nil {
			return err
		}
		enforced := 0
		for _, u := range list.Items {
			if slices.ContainsFunc(u.Status.Conditions, func(c metav1.Condition) bool {
				return c.Type == authv1alpha1.ConditionEnforced && c.Status == metav1.ConditionTrue
			}) {
				enforced++
			}
		}
		if enforced < n {
			return fmt.Errorf("%d of %d are", enforced, n)
		}
		return nil
	})
}
