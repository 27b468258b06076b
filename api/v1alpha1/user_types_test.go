package v1alpha1_test

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
	"github.com/gatehouse-auth/gatehouse/test/schemacases"
)

func TestUserSchema(t *testing.T) {
	t.Parallel()
	newServer(t).decides(t, "User", schemacases.Users(), func() client.Object { return &authv1alpha1.User{} })
}

func TestUserStatusSchema(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "User", `{}`)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	steps := []struct{ name, status, refusal string }{
		{"a state that does not exist is rejected", `{"state":"Asleep"}`, "status.state"},
		{"negative failures are rejected", `{"failedLogins":-1}`, "status.failedLogins"},
		{"more failures than an int32 holds are rejected", `{"failedLogins":2147483648}`, "status.failedLogins"},
		{"a lock without a time zone is rejected", `{"lockedUntil":"2027-01-01T00:00:00"}`, "status.lockedUntil"},
		{"a lock is set", `{"lockedUntil":"2027-01-01T00:00:00Z","state":"Locked"}`, ""},
		{"a lock is lifted", `{"lockedUntil":null}`, ""},
		{"tokens are revoked", `{"tokensRevokedAt":"2026-11-22T10:00:00Z"}`, ""},
		{"tokens are revoked once more in the same second", `{"tokensRevokedAt":"2026-11-22T10:00:00Z"}`, ""},
		{"the revocation moves on", `{"tokensRevokedAt":"2026-11-22T10:00:01Z"}`, ""},
		{"the revocation does not move back", `{"tokensRevokedAt":"2026-11-22T10:00:00Z"}`, "never moves back"},
		{"the revocation does not go away", `{"tokensRevokedAt":null}`, "cannot be removed"},
		{"a time in the far future", `{"tokensRevokedAt":"2099-01-01T00:00:00Z"}`, ""},
		{"a correction to another time is rejected",
			`{"tokensRevokedAt":"2026-11-22T10:00:02Z","tokensRevokedAtCorrected":"2026-11-22T10:00:03Z"}`, "never moves back"},
		{"a correction of the future", `{"tokensRevokedAt":"2026-11-22T10:00:02Z","tokensRevokedAtCorrected":"2026-11-22T10:00:02Z"}`, ""},
		{"a correction that happened is no way back", `{"tokensRevokedAt":"2026-11-22T10:00:01Z"}`, "never moves back"},
		{"a correction of less than a minute is rejected",
			`{"tokensRevokedAt":"2026-11-22T10:00:01Z","tokensRevokedAtCorrected":"2026-11-22T10:00:01Z"}`, "never moves back"},
	}
	for _, step := range steps {
		err := s.status(t, o, step.status)
		if step.refusal != "" {
			mustRefuse(t, err, step.refusal)
		} else if err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":null}`))
	mustRefuse(t, s.Status().Patch(t.Context(), o.DeepCopy(), patch), "cannot be removed")
}

// The wide columns of kubectl get name the identities.
func TestColumnsOfAUserWithIdentities(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "User", `{"identities":[
		{"federated":{"issuer":"https://ci.example.com","subject":"a"}},
		{"serviceAccount":{"name":"billing","namespace":"shop"}},
		{"serviceAccount":{"name":"orders","namespace":"shop"}}]}`)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	config := apitest.Config(t)
	config.APIPath, config.GroupVersion = "/apis", &authv1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(apitest.Scheme(t)).WithoutConversion()
	api, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := api.Get().Namespace(o.GetNamespace()).Resource("users").Name(o.GetName()).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil || len(table.Rows) != 1 {
		t.Fatalf("%v: %s", err, raw)
	}
	got := map[string]any{}
	for i, column := range table.ColumnDefinitions {
		got[column.Name] = table.Rows[0].Cells[i]
	}
	if got["Service accounts"] != "billing" || got["Issuers"] != "https://ci.example.com" {
		t.Errorf("the columns are %v", got)
	}
}

func TestNewUserIsPending(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "User", `{passwords: [{hashFrom: {secretKeyRef: {name: a, key: b}}}]}`)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	u := &authv1alpha1.User{}
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), u); err != nil {
		t.Fatal(err)
	}
	if got := u.Status.Conditions; len(got) != 1 || got[0].Type != "Ready" || got[0].Status != "Unknown" || got[0].Reason != "Pending" {
		t.Errorf("conditions = %+v, want Ready Unknown for Pending", got)
	}
	if got := u.Spec.Passwords[0].Name; got != "default" {
		t.Errorf("the password is named %q, want default", got)
	}
}

func TestUserRoundTrip(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "User", `{expiresAt: "2027-01-01T02:00:00+02:00", tokenPolicy: {defaultLifetime: 90m}}`)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	u := &authv1alpha1.User{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, u); err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC); !u.Spec.ExpiresAt.Time.Equal(want) {
		t.Errorf("expiresAt = %v, want %v", u.Spec.ExpiresAt, want)
	}
	if got, err := u.Spec.TokenPolicy.DefaultLifetime.Duration(); got != 90*time.Minute || err != nil {
		t.Errorf("defaultLifetime = %v (%v), want 90m", got, err)
	}
	if got := u.EffectiveLogin(); got != u.Name {
		t.Errorf("login = %q, want the object's name", got)
	}
}
