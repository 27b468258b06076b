package directory_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestRevokeTokensVoidsWhatWasIssuedBefore(t *testing.T) {
	t.Parallel()
	d := directory.New()
	d.Put(&directory.User{Key: "ns/jj", UID: "uid", Login: "jj", Groups: []string{"operators"}})

	d.RevokeTokens("uid", noon)
	d.RevokeTokens("uid", noon.Add(-time.Hour))
	d.RevokeTokens("unknown", noon)

	u, ok := d.ByLogin("jj")
	if !ok || u.CheckToken(noon) == nil || u.CheckToken(noon.Add(time.Second)) != nil {
		t.Fatalf("tokens are void up to %v, want %v", u.TokensRevokedAt, noon)
	}
	if len(u.Groups) != 1 || d.Len() != 1 {
		t.Error("the revocation changed more than the time of revocation")
	}
}

// A revocation by name and an update from the source of truth meet: neither may undo the other.
func TestRevokeTokensKeepsNewerVersion(t *testing.T) {
	t.Parallel()
	for range 1000 {
		d := directory.New()
		d.Put(&directory.User{Key: "ns/jj", UID: "uid", Login: "jj"})
		var both sync.WaitGroup
		both.Go(func() { d.RevokeTokens("uid", noon) })
		both.Go(func() { d.Put(&directory.User{Key: "ns/jj", UID: "uid", Login: "jj", Revoked: true}) })
		both.Wait()
		u, _ := d.ByUID("uid")
		if !u.Revoked || !u.TokensRevokedAt.Equal(noon) {
			t.Fatalf("revoked %t, tokens revoked at %v: one change undid the other", u.Revoked, u.TokensRevokedAt)
		}
	}
}
