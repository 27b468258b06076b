package v1alpha1

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestBrokenUserKeepsOtherFields(t *testing.T) {
	var u User
	err := json.Unmarshal([]byte(`{"metadata":{"name":"jean","uid":"1"},"spec":{"login":"jean@example.com","groups":"operators",
		"expiresAt":"2031-02-31T00:00:00Z"},"status":{"failedLogins":"many","tokensRevokedAt":"2026-01-01T00:00:00Z"}}`), &u)
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "jean" || u.UID != "1" || u.Spec.Login != "jean@example.com" || u.Status.TokensRevokedAt == nil {
		t.Errorf("readable fields are lost: %+v", u)
	}
	if !u.Spec.Revoked {
		t.Error("the broken User does not count as revoked")
	}
	for _, field := range []string{"spec.groups: ", "spec.expiresAt: ", "status.failedLogins: "} {
		if !strings.Contains(u.Unreadable, field) {
			t.Errorf("Unreadable does not name %s: %q", field, u.Unreadable)
		}
	}
}

func TestListWithBrokenObjects(t *testing.T) {
	var list TokenList
	err := json.Unmarshal([]byte(`{"items":[{"metadata":{"name":"a"},"spec":{"tokenID":"one","expiresAt":"never"}},
		{"metadata":{"name":"b"},"spec":[]},{"metadata":{"name":"c"},"spec":{"tokenID":"two"}}]}`), &list)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 {
		t.Fatalf("got %d items, want 3", len(list.Items))
	}
	a, b, c := list.Items[0], list.Items[1], list.Items[2]
	if a.Spec.TokenID != "one" || !a.Spec.Revoked || a.Unreadable == "" || b.Name != "b" || !b.Spec.Revoked || b.Unreadable == "" {
		t.Errorf("the broken Tokens are %+v and %+v", a, b)
	}
	if c.Spec.TokenID != "two" || c.Spec.Revoked || c.Unreadable != "" {
		t.Errorf("the intact Token is %+v", c)
	}
}

func TestNonObjectIsAnError(t *testing.T) {
	if err := json.Unmarshal([]byte(`[1]`), &User{}); err == nil {
		t.Error("a list was read as a User")
	}
	if err := json.Unmarshal([]byte(`{"metadata":5}`), &Token{}); err == nil {
		t.Error("a Token with invalid metadata was read")
	}
}

// BenchmarkReadUser measures the cost of each User in a list of all Users.
func BenchmarkReadUser(b *testing.B) {
	raw := []byte(`{"apiVersion":"auth.gatehouse.dev/v1alpha1","kind":"User","metadata":{"name":"jean","namespace":"gatehouse-users",
		"uid":"5f0c9a3e-3c0d-4a39-9a5f-2b3f8f6d1a11","resourceVersion":"12345","generation":1,"creationTimestamp":"2026-11-22T00:00:00Z"},
		"spec":{"login":"jean@example.com","groups":["operators"],"passwords":[{"hashFrom":{"secretKeyRef":{"name":"jean","key":"passwordHash"}}}]},
		"status":{"state":"Active","observedGeneration":1,"conditions":[{"type":"Ready","status":"True","reason":"Active",
		"message":"logs in","lastTransitionTime":"2026-11-22T00:00:00Z","observedGeneration":1}]}}`)
	for b.Loop() {
		var u User
		if err := json.Unmarshal(raw, &u); err != nil || u.Unreadable != "" {
			b.Fatal(err, u.Unreadable)
		}
	}
}
