package projection

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// statusAt projects a User at a point in time, with the password "x" under the key "a".
func statusAt(t *testing.T, u *authv1alpha1.User, now time.Time) Status {
	t.Helper()
	p := NewProjector(password.NewKeyer(), nil).Project(u, secretHolding(map[string]string{"a": "x"}))
	return Status{User: u, Projection: p, Now: now}
}

func TestStateChangesExactlyOnTime(t *testing.T) {
	t.Parallel()
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
			u := userFromSpec(t, c.spec)
			u.Status.LockedUntil = c.lockedUntil
			before := statusAt(t, u, end.Add(-time.Nanosecond))
			if got := before.Next().State; got != c.before {
				t.Errorf("just before: %s, want %s", got, c.before)
			}
			if got := before.RequeueAfter(); got != time.Nanosecond {
				t.Errorf("RequeueAfter = %v, want 1ns", got)
			}
			after := statusAt(t, u, end)
			if got := after.Next().State; got != c.after {
				t.Errorf("at the end: %s, want %s", got, c.after)
			}
			if got := after.RequeueAfter(); got != 0 {
				t.Errorf("RequeueAfter = %v although no time is in the future", got)
			}
		})
	}
}

func TestRequeueAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		spec string
		want time.Duration
	}{
		"no time":                  {`{}`, 0},
		"only past times":          {`{expiresAt: "2020-01-01T00:00:00Z", tokensValidAfter: "2020-01-01T00:00:00Z"}`, 0},
		"the earlier of two":       {`{expiresAt: "2026-11-22T02:00:00Z", tokensValidAfter: "2026-11-22T01:00:00Z"}`, time.Hour},
		"a distant time":           {`{expiresAt: "9999-12-31T23:59:59Z"}`, 24 * time.Hour},
		"a past and a future time": {`{expiresAt: "2026-11-22T05:00:00Z", tokensValidAfter: "2020-01-01T00:00:00Z"}`, 5 * time.Hour},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := statusAt(t, userFromSpec(t, c.spec), now).RequeueAfter(); got != c.want {
				t.Errorf("RequeueAfter = %v, want %v", got, c.want)
			}
		})
	}
}

// All replicas compute the same status, and writing it once does not cause another write.
func TestNextIsIdempotent(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	u := userFromSpec(t, `{tokensValidAfter: "2099-01-01T00:00:00Z", passwords: [{plaintextFrom: {secretKeyRef: {name: s, key: a}}}, {name: b, hashFrom: {secretKeyRef: {name: s, key: a}}}]}`)
	u.Status = statusAt(t, u, now).Next()
	later := statusAt(t, u, now.Add(time.Hour)).Next()
	for i, c := range later.Conditions {
		if c != u.Status.Conditions[i] {
			t.Errorf("condition %s changed from %+v to %+v", c.Type, u.Status.Conditions[i], c)
		}
	}
	u.Spec.TokensValidAfter = nil
	for _, c := range statusAt(t, u, now).Next().Conditions {
		if c.Type == authv1alpha1.ConditionTokensVoid {
			t.Error("TokensVoid stays although it is no longer true")
		}
	}
}

// Replicas that see one revocation at times that differ a little must not correct each other. A revocation after
// one that was lifted is another, however short the time between them.
func TestRecordedTimeOfRevocationMovesForAnotherRevocation(t *testing.T) {
	t.Parallel()
	recorded := time.Unix(2e9, 0)
	for name, c := range map[string]struct {
		superseded int64
		after      time.Duration
		want       time.Duration
	}{
		"the same, seen later":            {0, 3 * time.Second, 0},
		"another":                         {recorded.Unix(), 3 * time.Second, 3 * time.Second},
		"another, which a replica wrote":  {recorded.Unix() - 3, 3 * time.Second, 0},
		"another that no status ever had": {0, time.Minute, time.Minute},
	} {
		u := userFromSpec(t, `{revoked: true}`)
		u.Status.State, u.Status.TokensRevokedAt = authv1alpha1.UserRevoked, &metav1.Time{Time: recorded}
		s := statusAt(t, u, recorded.Add(2*time.Minute))
		current := *s.Projection.User
		current.TokensRevokedAt, current.SupersededRevocation = recorded.Add(c.after), c.superseded
		s.Current = &current
		if got := s.Next().TokensRevokedAt; !got.Time.Equal(recorded.Add(c.want)) {
			t.Errorf("%s: the status says %v, want %v", name, got, recorded.Add(c.want))
		}
	}
}

func TestNextKeepsForeignFields(t *testing.T) {
	t.Parallel()
	u := userFromSpec(t, `{}`)
	u.Status.FailedLogins = 3
	u.Status.TokensRevokedAt = &metav1.Time{Time: time.Unix(1e9, 0)}
	u.Status.Conditions = []metav1.Condition{{Type: "Theirs", Status: metav1.ConditionTrue, Reason: "Theirs"}}
	got := statusAt(t, u, time.Unix(2e9, 0)).Next()
	if got.FailedLogins != 3 || got.TokensRevokedAt == nil || got.Conditions[0].Type != "Theirs" {
		t.Errorf("status = %+v", got)
	}
}
