package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// tokenFile is where startAs mounts the token of the ServiceAccount.
const tokenFile = "/token/gatehouse"

const identityUser = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: e2e-identity, namespace: gatehouse-users}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: e2e-stranger, namespace: gatehouse-users}
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: e2e-identity, namespace: gatehouse-users}
spec:
  identities:
  - serviceAccount: {name: e2e-identity, namespace: gatehouse-users}
`

// A Pod without a Secret logs in at both APIs with its projected token. A Pod of another
// ServiceAccount gets the answer that a wrong password gets.
func TestPodLogsInWithItsToken(t *testing.T) {
	if _, err := kubectl(identityUser, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := kubectl(identityUser, "delete", "--ignore-not-found", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, time.Minute, "the User is Active", func() error {
		_, err := kubectl("", "-n", users, "wait", "--for=jsonpath={.status.state}=Active", "user.auth.gatehouse.dev/e2e-identity", "--timeout=5s")
		return err
	})
	var got struct{ JWT, Opaque, Revoked bool }
	startAs(t, "e2e-identity", "login", "-login", "e2e-identity", "-password-file", tokenFile).result(t, &got)
	if !got.JWT || !got.Opaque || !got.Revoked {
		t.Errorf("%+v, want all", got)
	}
	stranger := startAs(t, "e2e-stranger", "login", "-login", "e2e-identity", "-password-file", tokenFile)
	wrong := startAs(t, "e2e-stranger", "login", "-login", "e2e-identity", "-password", "Lantern-Orchard-27-Wrong")
	if got, want := refusal(t, stranger), refusal(t, wrong); got != want {
		t.Errorf("a Pod of another ServiceAccount gets %q, and a wrong password %q", got, want)
	}
}

// refusal waits until a client has printed that the service refused it, and returns that.
func refusal(t *testing.T, e *experiment) string {
	t.Helper()
	var text string
	eventually(t, time.Minute, "the client is refused", func() error {
		if text = e.logs(t); !strings.Contains(text, "401") || !strings.HasSuffix(text, "\n") {
			return fmt.Errorf("the client printed %q", text)
		}
		return nil
	})
	return text
}
