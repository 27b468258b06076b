package standalone

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// unlockInterval is how often the requests of gatehouse unlock are looked for.
const unlockInterval = 500 * time.Millisecond

// NewUnlock returns what lifts the locks of accounts for which gatehouse unlock has left a request in
// the state folder.
func NewUnlock(dir string, records *Records, d *directory.Directory, log *slog.Logger) *Periodic {
	u := unlock{dir, records, d, log}
	return &Periodic{unlockInterval, func(context.Context) { u.serve() }}
}

type unlock struct {
	dir       string
	records   *Records
	directory *directory.Directory
	log       *slog.Logger
}

// serve answers the requests that are open. A file that cannot be read or written stays as it is, and
// the command that waits for the answer says so.
func (u unlock) serve() {
	requests, err := statedir.ReadEntries(u.dir, statedir.UnlockEntries)
	if err != nil {
		return
	}
	answers := map[string]string{}
	for login, state := range requests {
		if string(state) == statedir.UnlockRequested {
			answers[login] = u.lift(login)
		}
	}
	if len(answers) == 0 {
		return
	}
	_, err = statedir.UpdateEntries(u.dir, statedir.UnlockEntries, func(entries map[string][]byte) (map[string][]byte, error) {
		next := maps.Clone(entries)
		for login, answer := range answers {
			next[login] = []byte(answer)
		}
		return next, nil
	})
	if err != nil {
		u.log.Error("cannot answer a request to lift a lock", "error", err)
	}
}

// lift lifts the lock of a user and returns the answer to the request.
func (u unlock) lift(login string) string {
	user, ok := u.directory.ByLogin(login)
	if !ok {
		return statedir.UnlockUnknown
	}
	if err := u.records.Unlock(user.UID); err != nil {
		u.log.Error("cannot lift a lock", "user", user.Key, "error", err)
		return statedir.UnlockFailed
	}
	u.log.Info("lifted the lock of a user on request", "user", user.Key)
	return statedir.UnlockDone
}
