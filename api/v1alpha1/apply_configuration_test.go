package v1alpha1_test

import (
	"reflect"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	applyv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

// A program that applies a User owns the fields that it names, and leaves those of others alone.
func TestUserCanBeAppliedFromGo(t *testing.T) {
	s := newServer(t)
	desired := func() *applyv1alpha1.UserApplyConfiguration {
		password := applyv1alpha1.Password().WithName("a").WithHashFrom(applyv1alpha1.SecretSource().
			WithSecretKeyRef(applyv1alpha1.SecretKeyRef().WithName("jean").WithKey("hash")))
		return applyv1alpha1.User("jean", s.namespace).WithSpec(applyv1alpha1.UserSpec().
			WithLogin("jean@example.com").WithGroups("operators").WithPasswords(password))
	}
	if err := s.Apply(t.Context(), desired(), client.FieldOwner("program")); err != nil {
		t.Fatal(err)
	}
	revoke := applyv1alpha1.User("jean", s.namespace).WithSpec(applyv1alpha1.UserSpec().WithRevoked(true))
	if err := s.Apply(t.Context(), revoke, client.FieldOwner("someone else")); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), desired(), client.FieldOwner("program")); err != nil {
		t.Fatal(err)
	}
	u := &authv1alpha1.User{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "jean"}, u); err != nil {
		t.Fatal(err)
	}
	if !u.Spec.Revoked || u.Spec.Login != "jean@example.com" || len(u.Spec.Passwords) != 1 {
		t.Errorf("the User is %+v", u.Spec)
	}
	applied, err := applyv1alpha1.ExtractUser(u, "program")
	if err != nil {
		t.Fatal(err)
	}
	if want := desired(); !reflect.DeepEqual(applied.Spec, want.Spec) {
		t.Errorf("the program owns %+v, want %+v", applied.Spec, want.Spec)
	}
}
