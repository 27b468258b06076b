package projection

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// stand projects a User at a moment, with the password "x" under the key "a".
func stand(t *testing.T, u *authv1alpha1.User, now time.Time) Status {
	t.Helper()
	p := NewProjector(password.NewKeyer(), nil).Project(u, holding(map[string]string{"a": "x"}))
	return Status{User: u, Projection: p, Now: now}
}

func TestTimesTurnStateToTheSecond(t *testing.T) {
	end := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	const pw = `plaintextFrom: {secretKeyRef: {name: s, key: a}}`
	cases := map[string]struct {
		spec          string
		lockedUntil   *metav1.Time
		before, after authv1alpha1.UserState
	}{
		"the account ends":  {`{expiresAt: "2027-06-01T12:00:00Z", passwords: [{` + pw + `}]}`, nil, "Active", "Expired"},
		"the password ends": {`{passwords: [{expiresAt: "2027-06-01T12:00:00Z", ` + pw + `}]}`, nil, "Active", "PasswordExpired"},
		"the lock ends":     {`{passwords: [{` + pw + `}]}`, &metav1.Time{Time: end}, "Locked", "Active"},
		"a revoked user stays so": {`{revoked: true, expiresAt: "2027-06-01T12:00:00Z", passwords: [{` + pw + `}]}`, &metav1.Time{Time: end},
			"Revoked", "Revoked"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u := userOf(t, c.spec)
			u.Status.LockedUntil = c.lockedUntil
			before := stand(t, u, end.Add(-time.Nanosecond))
			if got := before.Next().State; got != c.before {
				t.Errorf("just before: %s, want %s", got, c.before)
			}
			if got := before.RequeueAfter(); got != time.Nanosecond {
				t.Errorf("comes back after %v, want 1ns", got)
			}
			after := stand(t, u, end)
			if got := after.Next().State; got != c.after {
				t.Errorf("at the end: %s, want %s", got, c.after)
			}
			if got := after.RequeueAfter(); got != 0 {
				t.Errorf("comes back after %v although no time is to come", got)
			}
		})
	}
}

func TestTheNearestTimeBringsAUserBack(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		spec string
		want time.Duration
	}{
		"no time":              {`{}`, 0},
		"only past times":      {`{expiresAt: "2020-01-01T00:00:00Z", tokensValidAfter: "2020-01-01T00:00:00Z"}`, 0},
		"the nearer of two":    {`{expiresAt: "2026-11-22T02:00:00Z", tokensValidAfter: "2026-11-22T01:00:00Z"}`, time.Hour},
		"a time far away":      {`{expiresAt: "9999-12-31T23:59:59Z"}`, 24 * time.Hour},
		"a past and a far one": {`{expiresAt: "2026-11-22T05:00:00Z", tokensValidAfter: "2020-01-01T00:00:00Z"}`, 5 * time.Hour},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := stand(t, userOf(t, c.spec), now).RequeueAfter(); got != c.want {
				t.Errorf("again = %v, want %v", got, c.want)
			}
		})
	}
}

// All replicas come to the same, and what is written once is not written again.
func TestStatusIsItsOwnFixedPoint(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	u := userOf(t, `{tokensValidAfter: "2099-01-01T00:00:00Z", passwords: [{plaintextFrom: {secretKeyRef: {name: s, key: a}}}, {hashFrom: {secretKeyRef: {name: s, key: a}}}]}`)
	u.Status = stand(t, u, now).Next()
	later := stand(t, u, now.Add(time.Hour)).Next()
	for i, c := range later.Conditions {
		if c != u.Status.Conditions[i] {
			t.Errorf("condition %s changed from %+v to %+v", c.Type, u.Status.Conditions[i], c)
		}
	}
	u.Spec.TokensValidAfter = nil
	for _, c := range stand(t, u, now).Next().Conditions {
		if c.Type == authv1alpha1.ConditionTokensVoid {
			t.Error("a condition stays although it is no longer true")
		}
	}
}

func TestAStatusKeepsWhatOthersWroteThere(t *testing.T) {
	u := userOf(t, `{}`)
	u.Status.FailedLogins = 3
	u.Status.TokensRevokedAt = &metav1.Time{Time: time.Unix(1e9, 0)}
	u.Status.Conditions = []metav1.Condition{{Type: "Theirs", Status: metav1.ConditionTrue, Reason: "Theirs"}}
	got := stand(t, u, time.Unix(2e9, 0)).Next()
	if got.FailedLogins != 3 || got.TokensRevokedAt == nil || got.Conditions[0].Type != "Theirs" {
		t.Errorf("status = %+v", got)
	}
}
