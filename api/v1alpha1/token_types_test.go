package v1alpha1_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

const tokenSpec = `{userRef: {name: jj, uid: 4fe8a1d0}, tokenID: AAECAwQFBgcICQoLDA0ODw, kind: Opaque, label: "four-hour token",
	description: d, client: c, issuedAt: "2026-11-22T08:00:00.123000Z", expiresAt: "2026-11-22T12:00:00.123000Z"}`

// tokenWith returns a valid Token with one field of its spec changed.
func tokenWith(t *testing.T, s server, field string, value any) *unstructured.Unstructured {
	t.Helper()
	o := s.object(t, "Token", tokenSpec)
	if err := unstructured.SetNestedField(o.Object, value, append([]string{"spec"}, strings.Split(field, ".")...)...); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTokenSchemaAccepts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, o := range map[string]*unstructured.Unstructured{
		"a labelled opaque token":        s.object(t, "Token", tokenSpec),
		"a JWT":                          tokenWith(t, s, "kind", "JWT"),
		"a token revoked from the start": tokenWith(t, s, "revoked", true),
		"a label of 200 characters":      tokenWith(t, s, "label", strings.Repeat("ß", 200)),
		"a description of 1 KiB":         tokenWith(t, s, "description", strings.Repeat("ß", 512)),
		"a client of 1 KiB":              tokenWith(t, s, "client", strings.Repeat("x", 1024)),
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), &authv1alpha1.Token{}); err != nil {
				t.Errorf("accepted by the schema, but Go cannot read it: %v", err)
			}
		})
	}
}

func TestTokenSchemaRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	cases := map[string]struct {
		field string
		value any
		words string
	}{
		"a kind that does not exist":             {"kind", "SAML", "spec.kind"},
		"an empty id":                            {"tokenID", "", "spec.tokenID"},
		"an id that is not base64url":            {"tokenID", "a/b", "spec.tokenID"},
		"an empty label":                         {"label", "", "spec.label"},
		"a label of 201 characters":              {"label", strings.Repeat("x", 201), "spec.label"},
		"a label with a newline":                 {"label", "a\nb", "spec.label"},
		"a description of 1025 bytes":            {"description", strings.Repeat("x", 1025), "spec.description"},
		"a description of 1026 bytes in letters": {"description", strings.Repeat("ß", 513), "at most 1024 bytes"},
		"a client of 1025 bytes":                 {"client", strings.Repeat("x", 1025), "spec.client"},
		"a user without a UID":                   {"userRef", map[string]any{"name": "jj"}, "spec.userRef.uid"},
		"a time of issue in whole seconds":       {"issuedAt", "2026-11-22T08:00:00Z", "spec.issuedAt"},
		"a time of issue in milliseconds":        {"issuedAt", "2026-11-22T08:00:00.123Z", "spec.issuedAt"},
		"an expiry without a time zone":          {"expiresAt", "2026-11-22T12:00:00.123000", "spec.expiresAt"},
		"a token that expires when it is issued": {"expiresAt", "2026-11-22T08:00:00.123000Z", "later than issuedAt"},
		"the token itself":                       {"token", "0aBc", "unknown field"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, s.Create(t.Context(), tokenWith(t, s, c.field, c.value)), c.words)
		})
	}
}

func TestTokenChangesOnlyByRevocation(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := s.object(t, "Token", tokenSpec)
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{
		`{"label":"another"}`, `{"label":null}`, `{"description":"another"}`, `{"description":null}`, `{"client":null}`,
		`{"tokenID":"BBBB"}`, `{"kind":"JWT"}`, `{"userRef":{"uid":"another"}}`, `{"userRef":{"name":"another"}}`,
		`{"issuedAt":"2026-11-22T08:00:00.124000Z"}`, `{"expiresAt":"2036-11-22T12:00:00.123000Z"}`,
		`{"revoked":true,"label":"another"}`,
	} {
		mustRefuse(t, s.patch(t, o.DeepCopy(), change), "only revoked can change")
	}
	for _, step := range []string{
		`{"revoked":false}`, `{"revoked":null}`, `{"revoked":true,"label":null}`, `{"revoked":true}`, `{"description":null,"client":null}`,
	} {
		if err := s.patch(t, o, step); err != nil {
			t.Errorf("patch %s: %v", step, err)
		}
	}
	mustRefuse(t, s.patch(t, o.DeepCopy(), `{"label":"another"}`), "only revoked can change")
	for _, step := range []string{`{"revoked":false}`, `{"revoked":null}`} {
		mustRefuse(t, s.patch(t, o.DeepCopy(), step), "a revoked token stays revoked")
	}
}
