package directory_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

func withIdentity(name string, age int, identities ...directory.Identity) *directory.User {
	return &directory.User{
		Key: "users/" + name, UID: "uid-" + name, Login: name, Created: time.Unix(int64(age), 0), Identities: identities,
	}
}

func claims(all map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := all[name]; return value, ok }
}

func holderOf(d *directory.Directory, subject string, all map[string]string) string {
	u, ok := d.ByIdentity("https://ci", subject, claims(all))
	if !ok {
		return ""
	}
	return u.Login
}

func TestIdentityBelongsToOneUser(t *testing.T) {
	t.Parallel()
	sub := func(c map[string]string) directory.Identity {
		return directory.Identity{Issuer: "https://ci", Subject: "repo", Claims: c}
	}
	t.Run("the older user holds it, whoever comes first", func(t *testing.T) {
		for _, order := range [][]string{{"old", "young"}, {"young", "old"}} {
			d := directory.New()
			for _, name := range order {
				d.Put(withIdentity(name, map[string]int{"old": 1, "young": 2}[name], sub(nil)))
			}
			if got := holderOf(d, "repo", nil); got != "old" {
				t.Errorf("%v: %q holds the identity", order, got)
			}
			want := []directory.IdentityConflict{{Index: 0, Holder: "users/old"}}
			if got := d.IdentityConflicts("users/young"); !slices.Equal(got, want) {
				t.Errorf("%v: conflicts %v, want %v", order, got, want)
			}
		}
	})
	t.Run("it goes to the younger when the older loses it or goes", func(t *testing.T) {
		d := directory.New()
		d.Put(withIdentity("old", 1, sub(nil)))
		d.Put(withIdentity("young", 2, sub(nil)))
		d.Put(withIdentity("old", 1))
		if got := holderOf(d, "repo", nil); got != "young" {
			t.Errorf("%q holds the identity", got)
		}
		d.Put(withIdentity("old", 1, sub(nil)))
		if got := holderOf(d, "repo", nil); got != "old" {
			t.Errorf("%q holds the identity", got)
		}
		d.Delete("users/old")
		if got := holderOf(d, "repo", nil); got != "young" {
			t.Errorf("%q holds the identity", got)
		}
		d.Delete("users/young")
		if got := holderOf(d, "repo", nil); got != "" {
			t.Errorf("%q holds the identity", got)
		}
	})
	t.Run("identities that no token can have together do not conflict", func(t *testing.T) {
		d := directory.New()
		d.Put(withIdentity("prod", 1, sub(map[string]string{"environment": "production"})))
		d.Put(withIdentity("test", 2, sub(map[string]string{"environment": "test"})))
		d.Put(withIdentity("any", 3, sub(nil)))
		for _, environment := range []string{"production", "test"} {
			if got := holderOf(d, "repo", map[string]string{"environment": environment}); got != environment[:4] {
				t.Errorf("%s: %q holds the identity", environment, got)
			}
		}
		if got := holderOf(d, "repo", map[string]string{"environment": "other"}); got != "" {
			t.Errorf("an identity that is in conflict logs %q in", got)
		}
		if len(d.IdentityConflicts("users/any")) != 1 || len(d.IdentityConflicts("users/test")) != 0 {
			t.Error("the conflicts are wrong")
		}
	})
	t.Run("a user does not lose an identity to one who does not hold it", func(t *testing.T) {
		d := directory.New()
		d.Put(withIdentity("a", 1, sub(map[string]string{"x": "1"})))
		d.Put(withIdentity("b", 2, sub(nil)))
		d.Put(withIdentity("c", 3, sub(map[string]string{"x": "2"})))
		if got := holderOf(d, "repo", map[string]string{"x": "2"}); got != "c" {
			t.Errorf("%q holds the identity", got)
		}
	})
	t.Run("the index has the newest version of a user", func(t *testing.T) {
		d := directory.New()
		d.Put(withIdentity("old", 1, sub(nil)))
		next := withIdentity("old", 1, sub(nil))
		next.Revoked = true
		d.Put(next)
		if u, _ := d.ByIdentity("https://ci", "repo", claims(nil)); u == nil || !u.Revoked {
			t.Error("the index has an earlier version")
		}
		d.RevokeTokens("uid-old", time.Unix(100, 0))
		if u, _ := d.ByIdentity("https://ci", "repo", claims(nil)); u == nil || u.TokensRevokedAt.IsZero() {
			t.Error("the index has an earlier version")
		}
	})
}
