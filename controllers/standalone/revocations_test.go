package standalone_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

const stopJean = `apiVersion: auth.gatehouse.dev/v1alpha1
kind: Revocation
metadata: {name: stop}
spec: {userRef: {name: jean}, reason: laptop stolen}
`

func TestRevocationInAFile(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"jean.yaml": account("jean", "some-password")})
	allowed := func() bool { u, ok := s.directory.ByLogin("jean"); return ok && u.Check(time.Now()) == nil }
	refused := func() bool { return !allowed() }
	void := func(issuedAt time.Time) bool {
		u, ok := s.directory.ByLogin("jean")
		return ok && u.CheckToken(issuedAt) != nil
	}
	s.eventually("the user may log in", allowed)
	issued := time.Now()
	s.write("stop.yaml", stopJean)
	s.eventually("the user is refused", refused)
	s.restart()
	if allowed() {
		t.Error("the user may log in after a restart")
	}
	if err := os.Remove(filepath.Join(s.dir, "stop.yaml")); err != nil {
		t.Fatal(err)
	}
	s.eventually("the user may log in again", allowed)
	if !void(issued) {
		t.Error("a token came back to life")
	}
	s.restart()
	if !allowed() || !void(issued) {
		t.Errorf("after a restart: allowed %t, token void %t", allowed(), void(issued))
	}
}

func TestRevokedInAFile(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"jean.yaml": userWith("jean", "displayName: Jean")})
	issued := time.Now()
	s.write("jean.yaml", userWith("jean", "revoked: true"))
	s.eventually("the user is revoked", func() bool { u, ok := s.directory.ByLogin("jean"); return ok && u.Revoked })
	s.write("jean.yaml", userWith("jean", "revoked: false"))
	s.eventually("the user is no longer revoked", func() bool { u, ok := s.directory.ByLogin("jean"); return ok && !u.Revoked })
	s.restart()
	if u, _ := s.directory.ByLogin("jean"); u.CheckToken(issued) == nil {
		t.Error("a token came back to life")
	}
}

func TestFaultyRevocationIsReported(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{
		"jean.yaml": account("jean", "some-password"),
		"stop.yaml": "apiVersion: auth.gatehouse.dev/v1alpha1\nkind: Revocation\nmetadata: {name: stop}\nspec: {userRef: {name: jean}}\n",
	})
	s.logs("stop.yaml:4", "spec.reason")
}
