package stored

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/api/equality"
	kjson "sigs.k8s.io/json"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

func mustDecodeUser(t testing.TB, text string) *authv1alpha1.User {
	t.Helper()
	u, err := DecodeUser([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func mustDecodeToken(t testing.TB, text string) *authv1alpha1.Token {
	t.Helper()
	token, err := DecodeToken([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestBrokenUserKeepsOtherFields(t *testing.T) {
	t.Parallel()
	u := mustDecodeUser(t, `{"metadata":{"name":"jean","uid":"1","managedFields":[{"manager":"kubectl"}]},"spec":{"login":"jean@example.com",
		"groups":"operators","expiresAt":"2031-02-31T00:00:00Z"},"status":{"failedLogins":"many","tokensRevokedAt":"2026-01-01T00:00:00Z"}}`)
	if u.Name != "jean" || u.UID != "1" || u.Spec.Login != "jean@example.com" || u.Status.TokensRevokedAt == nil {
		t.Errorf("readable fields are lost: %+v", u)
	}
	if !u.Spec.Revoked {
		t.Error("the broken User does not count as revoked")
	}
	if u.ManagedFields != nil {
		t.Errorf("it has managed fields: %v", u.ManagedFields)
	}
	for _, field := range []string{"spec.groups: ", "spec.expiresAt: ", "status.failedLogins: "} {
		if fault := Fault(u); !strings.Contains(fault, field) {
			t.Errorf("the fault does not name %s: %q", field, fault)
		}
	}
}

func TestBrokenTokenIsRevoked(t *testing.T) {
	t.Parallel()
	for text, id := range map[string]string{
		`{"metadata":{"name":"a"},"spec":{"tokenID":"one","expiresAt":"never"}}`: "one",
		`{"metadata":{"name":"a"},"spec":[]}`:                                    "",
	} {
		if token := mustDecodeToken(t, text); token.Name != "a" || token.Spec.TokenID != id || !token.Spec.Revoked || Fault(token) == "" {
			t.Errorf("%s is %+v with the fault %q", text, token, Fault(token))
		}
	}
	if intact := mustDecodeToken(t, `{"spec":{"tokenID":"two"}}`); intact.Spec.TokenID != "two" || intact.Spec.Revoked || Fault(intact) != "" {
		t.Errorf("the intact Token is %+v with the fault %q", intact, Fault(intact))
	}
}

func TestNonObjectIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := DecodeUser([]byte(`[1]`)); err == nil {
		t.Error("a list was read as a User")
	}
	if _, err := DecodeToken([]byte(`{"metadata":5}`)); err == nil {
		t.Error("a Token with invalid metadata was read")
	}
}

const forgedNotes = `"annotations":{"a":"b","auth.gatehouse.dev/unreadable":"forged","auth.gatehouse.dev/misowned":""}`

func TestStoredNotesAreDropped(t *testing.T) {
	t.Parallel()
	owned := mustDecodeToken(t, `{"metadata":{"labels":{"auth.gatehouse.dev/user-uid":"1"},"ownerReferences":[{"apiVersion":"auth.gatehouse.dev/v1alpha1",
		"kind":"User","name":"jean","uid":"1"}],`+forgedNotes+`},"spec":{"userRef":{"name":"jean","uid":"1"}}}`)
	if Fault(owned) != "" || Misowned(owned) || owned.Annotations["a"] != "b" {
		t.Errorf("the notes of the Token are %v, its annotations %v", Notes(owned), owned.Annotations)
	}
	if u := mustDecodeUser(t, `{"metadata":{`+forgedNotes+`}}`); Notes(u) != nil {
		t.Errorf("the notes of the User are %v", Notes(u))
	}
	if u := mustDecodeUser(t, `{"metadata":{`+forgedNotes+`},"spec":{"groups":1}}`); !strings.Contains(Fault(u), "spec.groups") {
		t.Errorf("the fault of a broken User is %q", Fault(u))
	}
}

func TestMisownedTokenIsNoted(t *testing.T) {
	t.Parallel()
	const owner, label = `{"apiVersion":"auth.gatehouse.dev/v1alpha1","kind":"User","name":"jean","uid":"1"}`, `"labels":{"auth.gatehouse.dev/user-uid":"1"}`
	for metadata, want := range map[string]bool{
		label + `,"ownerReferences":[` + owner + `]`: false,
		`"ownerReferences":[` + owner + `]`:          true,
		label:                                        true,
		label + `,"ownerReferences":[` + owner + `,` + owner + `]`:                     true,
		label + `,"ownerReferences":[` + strings.Replace(owner, `"1"`, `"2"`, 1) + `]`: true,
	} {
		if got := Misowned(mustDecodeToken(t, `{"metadata":{`+metadata+`},"spec":{"userRef":{"name":"jean","uid":"1"}}}`)); got != want {
			t.Errorf("{%s} is misowned: %t, want %t", metadata, got, want)
		}
	}
}

// FuzzDecodeUser compares DecodeUser with a decoder of Kubernetes that reads the type as it is.
func FuzzDecodeUser(f *testing.F) {
	for _, object := range []string{
		`{}`, `null`, `{"spec":{"passwords":[{"expiresAt":null}]}}`, `{"metadata":{"labels":{"a":null}}}`, `{"spec":{"revoked":"no"}}`,
		`{"metadata":{` + forgedNotes + `},"spec":{"groups":["a"]},"status":{"failedLogins":1}}`, `{"spec":[]}`, `{"status":{"lockedUntil":"never"}}`,
	} {
		f.Add([]byte(object))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		got, err := DecodeUser(object)
		if !jsontext.Value(object).IsValid() {
			return // duplicate names or invalid UTF-8, neither of which an API server sends
		}
		want := &authv1alpha1.User{}
		wantErr := kjson.UnmarshalCaseSensitivePreserveInts(object, want)
		switch {
		case wantErr != nil && bytes.Contains(object, []byte("managedFields")):
			return // DecodeUser does not read managed fields, so it does not see their errors
		case wantErr != nil && err == nil:
			if Fault(got) == "" || !got.Spec.Revoked {
				t.Errorf("a broken User is %+v", got)
			}
		case wantErr == nil && err != nil:
			t.Error(err)
		case wantErr == nil:
			want.ManagedFields = nil
			DropNotes(want)
			if !equality.Semantic.DeepEqual(got, want) {
				t.Errorf("%+v\nwant %+v", got, want)
			}
		}
	})
}

// BenchmarkDecodeUser measures the cost of each User in a list of all Users.
func BenchmarkDecodeUser(b *testing.B) {
	raw := []byte(`{"apiVersion":"auth.gatehouse.dev/v1alpha1","kind":"User","metadata":{"name":"jean","namespace":"gatehouse-users",
		"uid":"5f0c9a3e-3c0d-4a39-9a5f-2b3f8f6d1a11","resourceVersion":"12345","generation":1,"creationTimestamp":"2026-11-22T00:00:00Z"},
		"spec":{"login":"jean@example.com","groups":["operators"],"passwords":[{"hashFrom":{"secretKeyRef":{"name":"jean","key":"passwordHash"}}}]},
		"status":{"state":"Active","observedGeneration":1,"conditions":[{"type":"Ready","status":"True","reason":"Active",
		"message":"logs in","lastTransitionTime":"2026-11-22T00:00:00Z","observedGeneration":1}]}}`)
	b.ReportAllocs()
	for b.Loop() {
		if u, err := DecodeUser(raw); err != nil || Fault(u) != "" {
			b.Fatal(u, err)
		}
	}
}
