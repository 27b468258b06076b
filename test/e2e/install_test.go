package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTheSamplesLogInAtBothDoorsByTheNameOfTheService(t *testing.T) {
	for login, password := range map[string]string{
		"jeanjackson@example.com": "Lantern-Orchard-27-Violet", "billing-service": "7Qm2vXc9RtKe4WzN8bLp", "rosa": "Copper-Meadow-41-Falcon",
	} {
		var got struct{ JWT, Opaque, Revoked bool }
		start(t, "login", "-login", login, "-password", password).result(t, &got)
		if !got.JWT || !got.Opaque || !got.Revoked {
			t.Errorf("%s: %+v", login, got)
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

// TestTheAccountMayDoNothingElsewhere compares its rights in a namespace that is not ours with those of anybody.
func TestTheAccountMayDoNothingElsewhere(t *testing.T) {
	list := func(account string) string {
		out, err := kubectl("", "auth", "can-i", "--list", "--namespace", "default", "--as", "system:serviceaccount:"+account,
			"--as-group", "system:authenticated", "--as-group", "system:serviceaccounts", "--no-headers")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	everybody := map[string]bool{}
	for line := range strings.Lines(list("default:nobody")) {
		everybody[line] = true
	}
	for line := range strings.Lines(list(system + ":gatehouse")) {
		fields := strings.Fields(line)
		if everybody[line] || len(fields) == 0 {
			continue
		}
		switch fields[0] {
		case "tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io":
			if fields[len(fields)-1] == "[create]" {
				continue
			}
		}
		t.Errorf("outside the two namespaces: %s", line)
	}
}

func TestOneTokenForOneNewLabel(t *testing.T) {
	two := strings.Join(strings.Split(addresses(t, 8443), ",")[:2], ",")
	var got struct{ Requests, Tokens int }
	start(t, "labels", "-replicas", two, "-tries", "100").result(t, &got)
	if got.Requests != 100 || got.Tokens != 1 {
		t.Errorf("%+v, want one token", got)
	}
	bench.findings.measured("100 requests at once for one new label on two replicas", "%d token", got.Tokens)
}
