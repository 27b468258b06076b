package statedir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sample is a database with pages of each kind: identities fill a branch page with leaves, a token
// has a page of its own with one that continues it, and standings fit into the page of their bucket.
type sample struct {
	raw      []byte
	rows     rows
	pageSize int
	used     int // bytes up to the last page in use
}

func newSample(t testing.TB) sample {
	t.Helper()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	var users []Identity
	for i := range 200 {
		users = append(users, Identity{Key: fmt.Sprintf("ns/%03d", i), UID: fmt.Sprintf("uid-%d", i), FirstSeen: time.Unix(1, 0).UTC()})
	}
	changes := []error{
		s.Identify(users, nil),
		s.UpdateStanding("uid-1", func(Standing) Standing { return Standing{FailedLogins: 3} }),
	}
	_, err := s.CreateToken(Token{ID: "large", UserUID: "uid-1", Description: strings.Repeat("x", 6000)}, 200, func(Token) bool { return true })
	changes = append(changes, err)
	for i := range 9 { // frees pages
		_, err := s.Revoke(Token{ID: fmt.Sprint(i), UserUID: "uid-1"}, 1<<20)
		changes = append(changes, err)
	}
	if err := errors.Join(changes...); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.database.path)
	if err != nil {
		t.Fatal(err)
	}
	out := sample{raw: raw, rows: s.rows, pageSize: os.Getpagesize()}
	if err := s.database.bolt.View(func(tx *bbolt.Tx) error {
		out.used = int(tx.Size())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// reopen opens a folder with this database. Either the error says that it is damaged, or the folder has
// the rows of the sample. With write it must then take a change that is there after another start.
func (s sample) reopen(t *testing.T, raw []byte, write bool) error {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, databaseName)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		if !strings.Contains(err.Error(), path+" is damaged") || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("got error %v", err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, raw) {
			t.Errorf("a database that was refused is not as it was: %v", err)
		}
		return err
	}
	defer func() { _ = store.Close() }()
	if !sameRows(&store.rows, &s.rows) {
		t.Error("a database was opened with other rows than it had")
	}
	if !write {
		return nil
	}
	_, err = store.Revoke(Token{ID: "another"}, 1<<20)
	if err := errors.Join(err, store.Close()); err != nil {
		t.Error(err)
	}
	if got := len(mustOpen(t, dir).rows.tokens.rows); got != len(s.rows.tokens.rows)+1 {
		t.Errorf("after a change there are %d tokens", got)
	}
	return nil
}

func sameRows(a, b *rows) bool {
	return maps.Equal(a.identities.rows, b.identities.rows) && maps.Equal(a.standings.rows, b.standings.rows) &&
		maps.Equal(a.tokens.rows, b.tokens.rows)
}

// TestFlippedBit flips a bit of many bytes, one at a time: of all in the meta pages, of those at the
// beginning of the other pages, and of some in between.
func TestFlippedBit(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	random := rand.New(rand.NewPCG(1, 2))
	refused, opened := 0, 0
	for at := range s.used {
		page, inPage := at/s.pageSize, at%s.pageSize
		structure := inPage < pageHeaderSize+elementSize || (page < 2 && inPage < pageHeaderSize+metaSize)
		if !structure && at%101 != 0 {
			continue
		}
		raw := bytes.Clone(s.raw)
		bit := byte(1) << random.IntN(8)
		raw[at] ^= bit
		if err := s.reopen(t, raw, structure && at%4 == 0); err != nil {
			refused++
		} else {
			opened++
		}
		if t.Failed() {
			t.Fatalf("with bit %08b flipped at byte %d of page %d", bit, inPage, page)
		}
	}
	t.Logf("%d flips: %d refused, %d do not matter", refused+opened, refused, opened)
	if refused == 0 || opened == 0 {
		t.Error("want some of both")
	}
}

// TestDamagedBytes writes random bytes over random places, and so reaches states that one flipped bit
// does not.
func TestDamagedBytes(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		raw := bytes.Clone(s.raw)
		for range 1 + random.IntN(4) {
			at := random.IntN(s.used - 64)
			for j := range 1 + random.IntN(64) {
				raw[at+j] = byte(random.Uint32() >> 8)
			}
		}
		_ = s.reopen(t, raw, false)
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
}

func FuzzDamage(f *testing.F) {
	s := newSample(f)
	f.Add(uint32(8), []byte{1})
	f.Add(uint32(3*s.pageSize+8), []byte{0, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, at uint32, mask []byte) {
		raw := bytes.Clone(s.raw)
		for i, b := range mask {
			raw[(int(at)+i)%s.used] ^= b
		}
		_ = s.reopen(t, raw, false)
	})
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	page := func(n int) []byte { return s.raw[n*s.pageSize:][:s.pageSize] }
	newest := 0
	if binary.NativeEndian.Uint64(page(1)[pageHeaderSize+48:]) > binary.NativeEndian.Uint64(page(0)[pageHeaderSize+48:]) {
		newest = 1
	}
	cases := map[string]struct {
		damage func(raw []byte) []byte
		want   string
	}{
		"empty":                     {func([]byte) []byte { return nil }, "it ends before"},
		"another file":              {func([]byte) []byte { return []byte(strings.Repeat("hello\n", 5000)) }, "the meta page"},
		"zeros":                     {func(raw []byte) []byte { return make([]byte, len(raw)) }, "the meta page"},
		"cut in the second page":    {func(raw []byte) []byte { return raw[:s.pageSize+20] }, "it ends before"},
		"cut before the last page":  {func(raw []byte) []byte { return raw[:s.used-1] }, "it ends after"},
		"newest meta page is zeros": {func(raw []byte) []byte { clear(raw[newest*s.pageSize:][:s.pageSize]); return raw }, "the meta page"},
		"other meta page is zeros":  {func(raw []byte) []byte { clear(raw[(1-newest)*s.pageSize:][:s.pageSize]); return raw }, "the meta page"},
		"newest meta page is older": {func(raw []byte) []byte { copy(raw[newest*s.pageSize:], page(1-newest)); return raw }, "do not belong together"},
		"pages are zeros":           {func(raw []byte) []byte { clear(raw[2*s.pageSize:]); return raw }, "is not a page"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := s.reopen(t, c.damage(bytes.Clone(s.raw)), false); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

// TestDamagedRows changes rows by bbolt itself, so that the pages are good and the digest is not.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*bbolt.Tx) error
		want   string
	}{
		"a row less":    {func(tx *bbolt.Tx) error { return tx.Bucket([]byte("tokens")).Delete([]byte("1")) }, "are not the"},
		"another value": {func(tx *bbolt.Tx) error { return tx.Bucket([]byte("tokens")).Put([]byte("1"), []byte(`{"id":"1"}`)) }, "are not the"},
		"not JSON":      {func(tx *bbolt.Tx) error { return tx.Bucket([]byte("tokens")).Put([]byte("1"), []byte(`{`)) }, "row 1 of bucket tokens"},
		"no bucket":     {func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("standings")) }, "no bucket standings"},
		"no digest":     {func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(digestBucket)) }, "no bucket digest"},
		"a later layout": {func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(digestBucket)).Put([]byte(digestKey), []byte(`{"version":2}`))
		}, "version 2"},
		"a bucket in a row": {func(tx *bbolt.Tx) error { _, err := tx.Bucket([]byte("tokens")).CreateBucket([]byte("b")); return err }, "is a bucket"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSample(t)
			path := filepath.Join(t.TempDir(), databaseName)
			if err := os.WriteFile(path, s.raw, 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(file.Update(c.change), file.Close()); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.reopen(t, raw, false); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

func TestDatabaseOfAnotherProgram(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	path := filepath.Join(t.TempDir(), databaseName)
	if err := os.WriteFile(path, s.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := bbolt.Open(path, 0o600, nil) // writes the list of free pages
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.reopen(t, raw, false); err == nil || !strings.Contains(err.Error(), "another program has written to it") {
		t.Errorf("got error %v", err)
	}
}

func TestMissingDatabase(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		files []string
		want  string // "": the service starts
	}{
		"first start":                          {nil, ""},
		"crash while it was made":              {[]string{"state.db.tmp", "lock"}, ""},
		"with a CA from elsewhere":             {[]string{"ca.json"}, ""},
		"with keys":                            {[]string{"keys.json"}, "restore state.db in"},
		"with a journal":                       {[]string{"journal"}, "has a journal"},
		"with a journal and keys":              {[]string{"journal", "keys.json"}, "has a journal"},
		"with keys and an unfinished database": {[]string{"keys.json", "state.db.tmp"}, "remove keys.json to start over"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, file := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte("{}"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			store, err := Open(dir, slog.New(slog.DiscardHandler))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := store.Close(); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(filepath.Join(dir, databaseName)); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, databaseName)); err == nil {
				t.Error("a database was made")
			}
		})
	}
}

// TestTooLargeKey asks for changes that the database cannot store while others share the write.
func TestTooLargeKey(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := s.Revoke(Token{ID: fmt.Sprint(i)}, 1<<20); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for _, key := range []string{"", strings.Repeat("k", maxKeySize+1)} {
				if _, err := s.Revoke(Token{ID: key}, 1<<20); err == nil {
					t.Error("a token that cannot be stored was revoked")
				}
				if _, err := s.CreateToken(Token{ID: key}, 200, nil); err == nil {
					t.Error("a token that cannot be stored was created")
				}
				if err := s.UpdateStanding(key, nil); err == nil {
					t.Error("a UID that cannot be stored was updated")
				}
				if err := s.Identify([]Identity{{Key: key}}, nil); err == nil {
					t.Error("a user that cannot be stored was added")
				}
			}
		})
	}
	wg.Wait()
	if len(s.Tokens()) != 50 {
		t.Errorf("got %d tokens", len(s.Tokens()))
	}
}

// TestUnknownWrite lets a write succeed that is taken for a failed one, as when a disk cannot sync.
func TestUnknownWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	if _, err := s.Revoke(Token{ID: "answered"}, 1<<20); err != nil {
		t.Fatal(err)
	}
	if !s.database.unchanged() {
		t.Error("the database is not what was answered")
	}
	if _, err := update(s.database.bolt, s.database.digest, []change{{bucket: "tokens", key: "refused", value: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	if s.database.unchanged() {
		t.Error("a change that was not answered was not noticed")
	}
	s.database.broken = true // as write does then
	if _, err := s.Revoke(Token{ID: "next"}, 1<<20); err != nil {
		t.Fatal(err)
	}
	if !s.database.intact() {
		t.Error("the database was not mended")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tokens := mustOpen(t, dir).Tokens()
	if len(tokens) != 2 || !tokens["answered"].Revoked || !tokens["next"].Revoked {
		t.Errorf("got %v", tokens)
	}
}

func TestChangesShareOneWrite(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	before := transaction(t, s)
	const many = 100
	done := make(chan error, many)
	s.disk.Lock() // the disk is busy
	for i := range many {
		go func() {
			_, err := s.Revoke(Token{ID: fmt.Sprint(i)}, 1<<20)
			done <- err
		}()
	}
	for waiting := 0; waiting < many; runtime.Gosched() {
		s.queue.Lock()
		waiting = len(s.next.work)
		s.queue.Unlock()
	}
	s.disk.Unlock()
	for range many {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if writes := transaction(t, s) - before; writes != 1 {
		t.Errorf("%d changes took %d writes, want one", many, writes)
	}
}

// transaction returns the number of the last write.
func transaction(t *testing.T, s *Store) (id int) {
	t.Helper()
	if err := s.database.bolt.View(func(tx *bbolt.Tx) error {
		id = tx.ID()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestFolderInUseByBbolt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := bbolt.Open(filepath.Join(dir, databaseName), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another process is using it") {
		t.Errorf("got error %v", err)
	}
}
