package v1alpha1_test

import (
	"encoding/json"
	"testing"

	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// To Go programs that import them, the types are as strict as any others.
func TestBrokenObjectIsNotDecoded(t *testing.T) {
	t.Parallel()
	for text, into := range map[string]any{
		`{"spec":{"groups":"operators"}}`:               &authv1alpha1.User{},
		`{"spec":{"expiresAt":"2031-02-31T00:00:00Z"}}`: &authv1alpha1.User{},
		`{"spec":[]}`: &authv1alpha1.Token{},
		`{"items":[{"spec":{"expiresAt":"never"}},{}]}`:  &authv1alpha1.TokenList{},
		`{"items":[{"status":{"failedLogins":"many"}}]}`: &authv1alpha1.UserList{},
	} {
		if err := json.Unmarshal([]byte(text), into); err == nil {
			t.Errorf("%s is decoded without an error", text)
		}
	}
}

func TestStrictDecodersFindUnknownFields(t *testing.T) {
	t.Parallel()
	for text, into := range map[string]any{
		"spec: {shoeSize: 43}": &authv1alpha1.User{},
		"spec: {colour: red}":  &authv1alpha1.Token{},
	} {
		if err := yaml.UnmarshalStrict([]byte(text), into); err == nil {
			t.Errorf("%q is decoded without an error", text)
		}
	}
}
