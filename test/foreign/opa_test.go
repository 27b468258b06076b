package foreign_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

func TestOpenPolicyAgent(t *testing.T) {
	path := program(t, "opa")
	g, ada := newIssuer(t)
	g.Put(t, directory.User{Login: "bob"}, bobPassword)
	g.Put(t, directory.User{Login: "opa"}, "tick tock")
	ca := writeFile(t, "ca.crt", string(g.CA))
	address := freeAddress(t)
	t.Setenv("GATEHOUSE_CREDENTIALS", "opa:tick tock")
	start(t, address, path, "run", "--server", "--addr", address, "--skip-version-check",
		writeFile(t, "gatehouse.rego", docsBlock(t, "programs.md", "gatehouse.rego", "https://auth.example.com", g.URL, "/etc/opa/gatehouse-ca.crt", ca)),
		writeFile(t, "offline.rego", docsBlock(t, "programs.md", "offline.rego", "https://auth.example.com", g.URL, "/etc/opa/gatehouse-ca.crt", ca)))
	decide := func(t *testing.T, token string) (allow bool, subject string) {
		t.Helper()
		input, err := json.Marshal(map[string]any{"input": map[string]string{"token": token}})
		if err != nil {
			t.Fatal(err)
		}
		a := send(t, http.DefaultClient, http.MethodPost, "http://"+address+"/v1/data/gatehouse", string(input), "Content-Type: application/json")
		var answer struct {
			Result struct {
				Allow   bool
				Offline struct {
					Claims struct {
						Subject string `json:"sub"`
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || a.Status != http.StatusOK {
			t.Fatalf("answered %d %s", a.Status, a.Body)
		}
		return answer.Result.Allow, answer.Result.Offline.Claims.Subject
	}
	expect := func(t *testing.T, token string, allow bool, subject string) {
		t.Helper()
		if a, s := decide(t, token); a != allow || s != subject {
			t.Errorf("asking, it decides %v, want %v; offline, it sees %q, want %q", a, allow, s, subject)
		}
	}
	jwt, opaque := login(t, g, ada.Login, adaPassword)
	bobs, _ := login(t, g, "bob", bobPassword)
	t.Run("allows a member of the group", func(t *testing.T) { expect(t, jwt, true, ada.Login) })
	t.Run("allows an opaque token only by asking", func(t *testing.T) { expect(t, opaque, true, "") })
	t.Run("denies a user without the group", func(t *testing.T) { expect(t, bobs, false, "bob") })
	t.Run("denies another signature", func(t *testing.T) { expect(t, jwt[:len(jwt)-4]+"AAAA", false, "") })
	t.Run("denies garbage", func(t *testing.T) { expect(t, "garbage", false, "") })
	t.Run("sees a revocation only by asking", func(t *testing.T) {
		revoke(t, g, jwt)
		expect(t, jwt, false, ada.Login)
	})
	t.Run("denies a revoked user", func(t *testing.T) {
		revoked := *ada
		revoked.Revoked = true
		g.Put(t, revoked)
		expect(t, opaque, false, "")
	})
}
