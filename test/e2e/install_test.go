package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSamplesLogInAtBothAPIs(t *testing.T) {
	for login, password := range map[string]string{
		"jeanjackson@example.com": "Lantern-Orchard-27-Violet", "billing-service": "7Qm2vXc9RtKe4WzN8bLp", "rosa": "Copper-Meadow-41-Falcon",
	} {
		var got struct{ JWT, Opaque, Revoked bool }
		start(t, "login", "-login", login, "-password", password).result(t, &got)
		if !got.JWT || !got.Opaque || !got.Revoked {
			t.Errorf("%s: %+v, want all", login, got)
		}
	}
}

func TestUsersShowTheirState(t *testing.T) {
	eventually(t, 30*time.Second, "every sample is Active", func() error {
		out, err := kubectl("", "-n", users, "get", "users", "jeanjackson", "billing", "rosa", "-o", "jsonpath={.items[*].status.state}")
		if err == nil && out != "Active Active Active" {
			err = fmt.Errorf("states %q", out)
		}
		return err
	})
}

const account = "system:serviceaccount:" + system + ":gatehouse"

// TestServiceAccountHasNoRightsElsewhere compares its rights in namespaces that are not Gatehouse's
// with the rights of any account.
func TestServiceAccountHasNoRightsElsewhere(t *testing.T) {
	rights := func(account, namespace string) string {
		out, err := kubectl("", "auth", "can-i", "--list", "--namespace", namespace, "--as", account,
			"--as-group", "system:authenticated", "--as-group", "system:serviceaccounts", "--no-headers")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, namespace := range []string{"default", "kube-system", "kube-public"} {
		anyAccount := map[string]bool{}
		for line := range strings.Lines(rights("system:serviceaccount:default:nobody", namespace)) {
			anyAccount[line] = true
		}
		for line := range strings.Lines(rights(account, namespace)) {
			if fields := strings.Fields(line); !anyAccount[line] && len(fields) > 0 && !createsReviews(fields) && !releasesTokens(fields) {
				t.Errorf("outside its two namespaces, in %s, the account may: %s", namespace, line)
			}
		}
	}
}

// createsReviews reports whether a right is to create the reviews by which the metrics endpoint
// checks its clients.
func createsReviews(fields []string) bool {
	switch fields[0] {
	case "tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io":
		return fields[len(fields)-1] == "[create]"
	default:
		return false
	}
}

// releasesTokens reports whether a right is the one by which the service lets the Tokens of a deleted
// namespace go.
func releasesTokens(fields []string) bool {
	return fields[0] == "tokens.auth.gatehouse.dev" && fields[len(fields)-1] == "[patch]"
}

func TestServiceAccountReadsOnlyItsSecrets(t *testing.T) {
	for _, denied := range [][]string{
		{"list", "secrets", "--all-namespaces"}, {"get", "secrets", "-n", "kube-system"}, {"watch", "secrets", "-n", "default"},
		{"list", "secrets", "-n", system}, {"get", "secrets/another", "-n", system}, {"get", "secrets", "-n", users},
		{"create", "secrets", "-n", users}, {"patch", "secrets", "-n", users}, {"delete", "users.auth.gatehouse.dev", "-n", users},
		{"patch", "users.auth.gatehouse.dev", "-n", users}, {"create", "pods", "-n", system},
	} {
		out, err := kubectl("", append([]string{"auth", "can-i", "--as", account}, denied...)...)
		if err == nil || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("%v: %q %v, want no", denied, out, err)
		}
	}
	for _, args := range [][]string{{"-n", "kube-system"}, {"-A"}, {"-n", system}} {
		if out, err := kubectl("", append([]string{"get", "secrets", "--as", account}, args...)...); err == nil {
			t.Errorf("get secrets %v is allowed: %q", args, out)
		} else if !strings.Contains(err.Error(), "Forbidden") {
			t.Error(err)
		}
	}
}

func TestOneTokenForOneNewLabel(t *testing.T) {
	two := strings.Join(strings.Split(addresses(t, 8443), ",")[:2], ",")
	var got struct{ Requests, Tokens int }
	start(t, "labels", "-replicas", two, "-tries", "100").result(t, &got)
	if got.Requests != 100 || got.Tokens != 1 {
		t.Errorf("%+v, want one token", got)
	}
	suite.findings.record("100 requests at once for one new label on two replicas", "%d token", got.Tokens)
}
