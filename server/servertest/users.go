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

// Put adds a user, or replaces the one with the same login. Where u has no Key and UID they are made from the login, and
// where it has no Credentials it gets the passwords, as bcrypt hashes of the least cost. It returns the user as put, which
// must not be changed: change a copy, and put that.
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
		for _, plain := range passwords {
			u.Credentials.Passwords = append(u.Credentials.Passwords, directory.Password{Hash: Hash(t, plain)})
		}
	}
	s.Directory.Put(&u)
	return &u
}

// Hash makes a bcrypt hash of the least cost.
func Hash(t testing.TB, plain string) *password.Hash {
	t.Helper()
	encoded, err := bcrypt.GenerateFromPassword([]byte(plain), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h, err := password.Parse(string(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// UID is the UID that Put gives to a user without one: the same login gets the same.
func UID(login string) string {
	sum := sha256.Sum256([]byte(login))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
