package standalone_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant/granttest"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// TestRecordsContract holds Records to the contract of grant.Records, on a state folder of a real file system.
func TestRecordsContract(t *testing.T) {
	t.Parallel()
	granttest.TestRecords(t, func(t testing.TB) granttest.Fixture {
		folder := filepath.Join(t.TempDir(), "state")
		log := slog.New(slog.DiscardHandler)
		store, err := statedir.Open(folder, log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		d := directory.New()
		f := granttest.Fixture{
			Replica: granttest.Replica{Records: standalone.NewRecords(store, d, log, time.Now), Directory: d},
			Users: [2]*directory.User{
				{Key: "gatehouse-users/alice", UID: "5b0c3f0e-6f6b-4c2a-9d55-2f3c1a7b9e01", Login: "alice"},
				{Key: "gatehouse-users/bob", UID: "5b0c3f0e-6f6b-4c2a-9d55-2f3c1a7b9e02", Login: "bob"},
			},
			Now:             time.Now,
			TokensRevokedAt: func(u *directory.User) time.Time { return store.Standing(u.UID).TokensRevokedAt },
			Stored: func(uid string) []directory.Record {
				var records []directory.Record
				for _, t := range store.TokensOf(uid) {
					records = append(records, directory.Record{
						ID: t.ID, UserKey: t.UserKey, UserUID: t.UserUID, Kind: t.Kind, Label: t.Label, Description: t.Description,
						Client: t.Client, IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt, Revoked: t.Revoked,
					})
				}
				return records
			},
			// A folder that is not there any more cannot be written, and can be again once it is back.
			SetFailing: func(failing bool) {
				from, to := folder, folder+".away"
				if !failing {
					from, to = to, from
				}
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			},
		}
		for _, u := range f.Users {
			copied := *u
			d.Put(&copied)
		}
		return f
	})
}
