package grant_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant/granttest"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// TestServertestRecords holds the records of servertest, on which other tests rely, to the contract
// of all records.
func TestServertestRecords(t *testing.T) {
	t.Parallel()
	granttest.TestRecords(t, func(t testing.TB) granttest.Fixture {
		s := servertest.New(t, servertest.Options{})
		f := granttest.Fixture{
			Replica: granttest.Replica{Records: s.Records, Directory: s.Directory},
			Users: [2]*directory.User{
				{Key: "gatehouse-users/jean", UID: "5b0c3f0e-6f6b-4c2a-9d55-2f3c1a7b9e01", Login: "jean"},
				{Key: "gatehouse-users/robot", UID: "5b0c3f0e-6f6b-4c2a-9d55-2f3c1a7b9e02", Login: "robot"},
			},
			Now:        s.Now,
			SetFailing: s.Records.Fail,
			Stored:     s.Directory.RecordsOf,
			TokensRevokedAt: func(u *directory.User) time.Time {
				known, _ := s.Directory.ByUID(u.UID)
				return known.TokensRevokedAt
			},
		}
		for _, u := range f.Users {
			s.Directory.Put(u)
		}
		return f
	})
}
