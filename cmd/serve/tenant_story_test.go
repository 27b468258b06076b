package serve

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// TestTenantLifecycle follows a user of a Tenant that is declared while the service runs: the tokens
// name the Tenant, and the user is bounded by what the Tenant allows.
func TestTenantLifecycle(t *testing.T) {
	s := newStory(t)
	team := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}
	if err := s.api.Create(t.Context(), team); err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: "mira", Namespace: team.Name}
	for _, o := range []client.Object{
		&corev1.Secret{ObjectMeta: meta, StringData: map[string]string{"password": storyPassword}},
		&authv1alpha1.User{ObjectMeta: meta, Spec: authv1alpha1.UserSpec{Login: "mira@team.test", Passwords: []authv1alpha1.Password{{
			PlaintextFrom: &authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: "mira", Key: "password"}},
		}}}},
	} {
		if err := s.api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if status, _ := s.authorizeAs("mira@team.test"); status != http.StatusUnauthorized {
		t.Errorf("a User of no Tenant logs in: %d", status)
	}
	tenant := &authv1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: team.Name, Namespace: "gatehouse-system"},
		Spec:       authv1alpha1.TenantSpec{Namespaces: []string{team.Name}, Logins: authv1alpha1.TenantLogins{Suffixes: []string{"@team.test"}}},
	}
	if err := s.api.Create(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	var token string
	s.eventually("the user logs in", func() (ok bool) {
		status, body := s.authorizeAs("mira@team.test")
		token = body
		return status == http.StatusOK
	})
	if got := tenantOf(t, token); got != team.Name {
		t.Errorf("the token names the Tenant %q", got)
	}
	s.mustVerify(token, http.StatusOK)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"logins":{"suffixes":["@other.test"]}}}`))
	if err := s.api.Patch(t.Context(), tenant, patch); err != nil {
		t.Fatal(err)
	}
	s.eventually("the token is refused", func() bool { return s.verify(token) == http.StatusUnauthorized })
	if status, _ := s.authorizeAs("mira@team.test"); status != http.StatusUnauthorized {
		t.Errorf("a user outside of the Tenant logs in: %d", status)
	}
	if err := s.api.Delete(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
}

// authorizeAs asks for a JWT as a user, and returns the status and the token.
func (s *story) authorizeAs(login string) (int, string) {
	s.Helper()
	status, text := s.send(http.MethodPost, "/v1/users/authorize", "", func(r *http.Request) { r.SetBasicAuth(login, storyPassword) })
	var response map[string]any
	if err := json.Unmarshal([]byte(text), &response); err != nil {
		return status, ""
	}
	token, _ := response["access_token"].(string)
	return status, token
}

// tenantOf returns the claim tenant of a JWT.
func tenantOf(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %s", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Tenant string `json:"tenant"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Tenant
}
