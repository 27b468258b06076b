package servertest

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// Put adds a user, or replaces the one with the same key. If u has no Key or no UID, Put derives it
// from the login. If it has no Credentials, Put gives it the passwords, hashed with bcrypt at the
// lowest cost. The returned user must not be changed: change a copy, and put that.
func (s *Service) Put(t testing.TB, u directory.User, passwords ...string) *directory.User {
	t.Helper()
	if u.Key == "" {
		u.Key = "gatehouse-users/" + u.Login
	}
	if u.UID == "" {
		u.UID = UID(u.Login)
	}
	if u.Credentials == nil {
		u.Credentials = &directory.Credentials{Revision: strings.Join(passwords, "\n")}
		for _, secret := range passwords {
			u.Credentials.Passwords = append(u.Credentials.Passwords, directory.Password{Hash: Hash(t, secret)})
		}
	}
	s.Directory.Put(&u)
	return &u
}

// Hash returns a bcrypt hash of a password, at the lowest cost.
func Hash(t testing.TB, secret string) *password.Hash {
	t.Helper()
	encoded, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h, err := password.Parse(string(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// UID returns the UID that Put gives to a user without one. It depends on the login alone.
func UID(login string) string {
	sum := sha256.Sum256([]byte(login))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
