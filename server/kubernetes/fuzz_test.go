package kubernetes

import (
	"encoding/json"
	"slices"
	"testing"
)

// FuzzParse checks that whatever parseReview accepts is a TokenReview with the same content for
// encoding/json.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","audiences":["b","c"]}}`,
		`{"apiVersion":"authentication.k8s.io/v1beta1","kind":"TokenReview","spec":{"token":"\u0000","audiences":null}}`,
		`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","audiences":[null]}}`,
		`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":null}`,
		`{"kind":`, `[]`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := parseReview(body)
		if err != nil {
			return
		}
		var other struct {
			APIVersion string
			Kind       string
			Spec       map[string]json.RawMessage
		}
		fields := map[string]json.RawMessage{}
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("accepted, but not JSON: %v", err)
		}
		for key, into := range map[string]any{"apiVersion": &other.APIVersion, "kind": &other.Kind, "spec": &other.Spec} {
			if err := json.Unmarshal(fields[key], into); err != nil {
				t.Fatalf("accepted, but %s cannot be parsed: %v", key, err)
			}
		}
		var token string
		var audiences []string
		if err := json.Unmarshal(other.Spec["token"], &token); err != nil || token == "" || token != q.token {
			t.Fatalf("token is %q, want %q: %v", q.token, token, err)
		}
		if raw, ok := other.Spec["audiences"]; ok {
			if err := json.Unmarshal(raw, &audiences); err != nil || !slices.Equal(audiences, q.audiences) {
				t.Fatalf("audiences are %q, want %q: %v", q.audiences, audiences, err)
			}
		}
		if other.Kind != kind || other.APIVersion != q.apiVersion || (q.apiVersion != v1 && q.apiVersion != v1beta1) {
			t.Fatalf("accepted as a TokenReview: kind %q of %q", other.Kind, other.APIVersion)
		}
	})
}
