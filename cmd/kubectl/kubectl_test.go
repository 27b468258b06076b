package kubectl

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestOnlyAMissingRightIsExplainedAsOne(t *testing.T) {
	t.Parallel()
	users := schema.GroupResource{Group: "auth.gatehouse.dev", Resource: "users"}
	for reason, want := range map[string]bool{
		`User "ada" cannot create resource "users" in API group "auth.gatehouse.dev" in the namespace "gatehouse-users"`:                                                   true,
		`ValidatingAdmissionPolicy 'gatehouse-expiry' with binding 'gatehouse-expiry' denied request: the Users of gatehouse-users must have spec.expiresAt`:               false,
		`exceeded quota: gatehouse, requested: count/tokens.auth.gatehouse.dev=1, used: count/tokens.auth.gatehouse.dev=100, limited: count/tokens.auth.gatehouse.dev=100`: false,
	} {
		err := explain(apierrors.NewForbidden(users, "ada", errors.New(reason)))
		if got := strings.Contains(err.Error(), "ask someone who administers"); got != want || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: explained as %q", reason, err)
		}
	}
}

func TestOnlyARefusalIsKnownToHaveWrittenNothing(t *testing.T) {
	t.Parallel()
	users := schema.GroupResource{Group: "auth.gatehouse.dev", Resource: "users"}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"forbidden":           {apierrors.NewForbidden(users, "ada", errors.New("no")), true},
		"exists":              {apierrors.NewAlreadyExists(users, "ada"), true},
		"conflict":            {apierrors.NewConflict(users, "ada", errors.New("changed")), true},
		"gone":                {apierrors.NewNotFound(users, "ada"), true},
		"timeout":             {apierrors.NewTimeoutError("slow", 1), false},
		"internal error":      {apierrors.NewInternalError(errors.New("etcd")), false},
		"a broken connection": {errors.New("unexpected EOF"), false},
	} {
		if got := isRefusal(c.err); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}
