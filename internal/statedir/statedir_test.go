package statedir_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		revokeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, dir string) *statedir.Store {
	t.Helper()
	s, err := statedir.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t *testing.T, s *statedir.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func token(id, user, label string) statedir.Token {
	return statedir.Token{ID: id, UserKey: "ns/" + user, UserUID: user, Kind: "opaque", Label: label, IssuedAt: start, ExpiresAt: start.Add(time.Hour)}
}

func live(t statedir.Token) bool { return !t.Revoked }

func TestWhatWasAnsweredIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Identify([]statedir.Identity{{Key: "ns/a", UID: "A", FirstSeen: start}, {Key: "ns/b", UID: "B", FirstSeen: start}}, nil))
	must(t, s.UpdateStanding("A", func(st statedir.Standing) statedir.Standing {
		st.TokensRevokedAt, st.LockedUntil, st.FailedLogins = start, start.Add(time.Minute), 3
		return st
	}))
	kept, err := s.CreateToken(token("1", "A", "laptop"), 200, live)
	must(t, err)
	_, err = s.Revoke(token("2", "A", ""), 1<<20)
	must(t, err)
	shut(t, s)

	s = open(t, dir)
	if id, ok := s.Identity("ns/a"); !ok || id.UID != "A" || !id.FirstSeen.Equal(start) {
		t.Errorf("identity: got %+v, %v", id, ok)
	}
	st := s.Standing("A")
	if !st.TokensRevokedAt.Equal(start) || !st.LockedUntil.Equal(start.Add(time.Minute)) || st.FailedLogins != 3 {
		t.Errorf("standing: got %+v", st)
	}
	tokens := s.Tokens()
	if tokens["1"] != kept || !tokens["2"].Revoked || len(tokens) != 2 {
		t.Errorf("tokens: got %+v", tokens)
	}
	if again, err := s.CreateToken(token("3", "A", "laptop"), 200, live); err != nil || again.ID != "1" {
		t.Errorf("the label gives token %s, %v, want token 1", again.ID, err)
	}
}

func TestAUserWhoGoesTakesEverythingAlong(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Identify([]statedir.Identity{{Key: "ns/a", UID: "A"}}, nil))
	must(t, s.UpdateStanding("A", func(st statedir.Standing) statedir.Standing { st.FailedLogins = 1; return st }))
	_, err := s.Revoke(token("1", "A", ""), 1<<20)
	must(t, err)
	_, err = s.Revoke(token("2", "B", ""), 200)
	must(t, err)
	must(t, s.Identify(nil, []string{"ns/a", "ns/unknown"}))
	shut(t, s)

	s = open(t, dir)
	if _, ok := s.Identity("ns/a"); ok || s.Standing("A") != (statedir.Standing{}) {
		t.Error("the user is still known")
	}
	if tokens := s.Tokens(); len(tokens) != 1 || !tokens["2"].Revoked {
		t.Errorf("tokens: got %+v, want that of the other user", tokens)
	}
}

func TestAUserWithAGivenUIDComesBackAsItWas(t *testing.T) {
	s := open(t, t.TempDir())
	must(t, s.Identify([]statedir.Identity{{Key: "ns/a", UID: "A", Given: true}}, nil))
	must(t, s.UpdateStanding("A", func(st statedir.Standing) statedir.Standing { st.TokensRevokedAt = start; return st }))
	_, err := s.Revoke(token("1", "A", ""), 1<<20)
	must(t, err)
	must(t, s.Identify(nil, []string{"ns/a"}))
	if _, ok := s.Identity("ns/a"); ok || !s.Tokens()["1"].Revoked || s.Standing("A").TokensRevokedAt != start {
		t.Errorf("got %+v and %+v", s.Tokens(), s.Standing("A"))
	}
}

func TestAUserMayGoAndComeInOneChange(t *testing.T) {
	s := open(t, t.TempDir())
	must(t, s.Identify([]statedir.Identity{{Key: "ns/a", UID: "old"}}, nil))
	must(t, s.Identify([]statedir.Identity{{Key: "ns/a", UID: "new"}}, []string{"ns/a"}))
	if id, _ := s.Identity("ns/a"); id.UID != "new" {
		t.Errorf("got %q", id.UID)
	}
}

func TestOneLabelGivesOneTokenToEverybodyWhoAsksAtOnce(t *testing.T) {
	s := open(t, t.TempDir())
	var mu sync.Mutex
	ids := map[string]int{}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			kept, err := s.CreateToken(token(fmt.Sprint(i), "A", "laptop"), 200, live)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[kept.ID]++
		})
	}
	wg.Wait()
	if len(ids) != 1 || len(s.Tokens()) != 1 {
		t.Errorf("got tokens %v and %d records, want one", ids, len(s.Tokens()))
	}
}

func TestALabelThatIsTakenOverLeavesTheRevocationBehind(t *testing.T) {
	s := open(t, t.TempDir())
	_, err := s.CreateToken(token("1", "A", "laptop"), 200, live)
	must(t, err)
	_, err = s.Revoke(token("1", "A", ""), 1<<20)
	must(t, err)
	kept, err := s.CreateToken(token("2", "A", "laptop"), 200, live)
	must(t, err)
	if kept.ID != "2" || !s.Tokens()["1"].Revoked {
		t.Errorf("got %+v and %+v", kept, s.Tokens()["1"])
	}
	if other, err := s.CreateToken(token("3", "B", "laptop"), 200, live); err != nil || other.ID != "3" {
		t.Errorf("the same label of another user gives %s, %v", other.ID, err)
	}
}

func TestARevocationOfAllTokensNeverMovesBack(t *testing.T) {
	s := open(t, t.TempDir())
	for _, at := range []time.Time{start, start.Add(-time.Hour), {}} {
		must(t, s.UpdateStanding("A", func(st statedir.Standing) statedir.Standing { st.TokensRevokedAt = at; return st }))
	}
	if got := s.Standing("A").TokensRevokedAt; !got.Equal(start) {
		t.Errorf("got %s", got)
	}
}

func TestRecordsGoWhenTheirTokensHaveEnded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := s.Revoke(token("1", "A", ""), 1<<20)
	must(t, err)
	if ended, err := s.DropExpired(start.Add(time.Hour - 1)); err != nil || len(ended) != 0 {
		t.Errorf("too early: %v, %v", ended, err)
	}
	if ended, err := s.DropExpired(start.Add(time.Hour)); err != nil || len(ended) != 1 || ended[0].ID != "1" {
		t.Errorf("got %v, %v", ended, err)
	}
	shut(t, s)
	if tokens := open(t, dir).Tokens(); len(tokens) != 0 {
		t.Errorf("after a restart: %v", tokens)
	}
}

func TestAFolderHasOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := statedir.Open(dir, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "another process is using it") {
		t.Errorf("got error %v", err)
	}
	shut(t, s)
	open(t, dir)
}

// inProcessOfItsOwn runs a test again in a new process, because its limits would hold for all tests of this one, and says
// whether this is that process.
// limitFileSize lets no file of this process grow beyond a size, as a full disk would, until the returned function is called.
func TestDatabaseStaysSmall(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	wg := sync.WaitGroup{}
	for g := range 50 {
		wg.Go(func() {
			for i := range 200 {
				if err := s.UpdateStanding(fmt.Sprint(g), func(st statedir.Standing) statedir.Standing {
					st.FailedLogins, st.Credentials = i+1, strings.Repeat("x", 300)
					return st
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	info, err := os.Stat(filepath.Join(dir, "state.db"))
	must(t, err)
	if info.Size() > 2<<20 {
		t.Errorf("50 rows take %d bytes after 10000 changes", info.Size())
	}
	shut(t, s)
	s = open(t, dir)
	for g := range 50 {
		if n := s.Standing(fmt.Sprint(g)).FailedLogins; n != 200 {
			t.Errorf("row %d: got %d, want the last change", g, n)
		}
	}
}

func TestNothingIsChangedAfterClose(t *testing.T) {
	s := open(t, t.TempDir())
	shut(t, s)
	if _, err := s.Revoke(token("1", "A", ""), 1<<20); !errors.Is(err, statedir.ErrClosed) {
		t.Errorf("got error %v", err)
	}
}

func TestEntriesAreReplacedWholeByOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, dir) // entries may change while the folder is in use
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, err := statedir.UpdateEntries(dir, statedir.KeysEntries, func(entries map[string][]byte) (map[string][]byte, error) {
				entries[fmt.Sprint(i)] = []byte{0, 255, byte(i)}
				return entries, nil
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := statedir.ReadEntries(dir, statedir.KeysEntries); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entries, err := statedir.ReadEntries(dir, statedir.KeysEntries)
	if err != nil || len(entries) != 50 || entries["7"][2] != 7 {
		t.Errorf("got %d entries, %v", len(entries), err)
	}
}

func TestEntriesStayWhenTheirUpdateFails(t *testing.T) {
	dir := t.TempDir()
	set := func(v string, err error) error {
		_, err = statedir.UpdateEntries(dir, statedir.CAEntries, func(map[string][]byte) (map[string][]byte, error) {
			return map[string][]byte{"ca.key": []byte(v)}, err
		})
		return err
	}
	must(t, set("one", nil))
	if err := set("two", context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	if entries, _ := statedir.ReadEntries(dir, statedir.CAEntries); string(entries["ca.key"]) != "one" {
		t.Errorf("got %q", entries["ca.key"])
	}
}

func TestEntriesThatCannotBeReadAreNotReplacedNorQuoted(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "keys.json"), []byte(`{"sign-1":"c2VjcmV0"`), 0o600))
	_, err := statedir.UpdateEntries(dir, statedir.KeysEntries, func(map[string][]byte) (map[string][]byte, error) {
		t.Error("the update began with nothing")
		return nil, nil
	})
	if err == nil || strings.Contains(err.Error(), "c2VjcmV0") || !strings.Contains(err.Error(), "keys.json") {
		t.Errorf("got error %v", err)
	}
}
