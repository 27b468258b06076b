package statedir

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// journalOf returns the journal of a folder in which tokens were revoked one after the other.
func journalOf(t *testing.T, tokens int) []byte {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range tokens {
		if _, err := s.Revoke(Token{ID: fmt.Sprint(i), UserUID: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// reopen opens a folder with this journal and returns how many tokens are known.
func reopen(t *testing.T, raw []byte) (tokens int, said string, err error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s, err := Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		after, readErr := os.ReadFile(filepath.Join(dir, "journal"))
		if readErr != nil || !bytes.Equal(after, raw) {
			t.Error("a journal that was refused is not as it was")
		}
		return 0, "", err
	}
	defer func() { _ = s.Close() }()
	return len(s.Tokens()), log.String(), nil
}

func TestAWriteCutShortAtAnyByteLosesThatWriteAlone(t *testing.T) {
	raw := journalOf(t, 3)
	last := bytes.LastIndexByte(raw[:len(raw)-1], '\n') + 1
	for cut := last; cut < len(raw); cut++ {
		tokens, said, err := reopen(t, raw[:cut])
		if err != nil || tokens != 2 {
			t.Errorf("cut at byte %d of the last line: %d tokens, %v", cut-last, tokens, err)
		}
		if (cut > last) != strings.Contains(said, "never answered") {
			t.Errorf("cut at byte %d of the last line: the log says %q", cut-last, said)
		}
	}
}

func TestALastLineWithAHoleIsLeftOut(t *testing.T) {
	raw := journalOf(t, 3)
	copy(raw[len(raw)-20:], make([]byte, 10))
	if tokens, _, err := reopen(t, raw); err != nil || tokens != 2 {
		t.Errorf("got %d tokens, %v", tokens, err)
	}
}

func TestADamagedJournalIsReportedWithItsLine(t *testing.T) {
	raw := journalOf(t, 4)
	lines := bytes.SplitAfter(raw, []byte("\n"))
	cases := map[string]struct {
		journal []byte
		want    string
	}{
		"one flipped bit in the middle":      {replaceLine(lines, 2, func(l []byte) { l[len(l)/2] ^= 1 }), "line 3 is damaged"},
		"a line of zeros in the middle":      {replaceLine(lines, 2, func(l []byte) { clear(l[:len(l)-1]) }), "line 3 is damaged"},
		"two damaged lines at the end":       {replaceLine(lines, 3, func(l []byte) { l[0] = 'x' }, 4), "line 4 is damaged"},
		"an empty file":                      {nil, "does not begin like a journal"},
		"another file":                       {[]byte("hello\n"), "does not begin like a journal"},
		"a journal of a later version":       {bytes.Replace(raw, []byte("journal 1"), []byte("journal 2"), 1), "does not begin like a journal"},
		"a row of a table nobody here knows": {append([]byte(journalHeader), line(t, change{Table: "new", Key: "k"})...), "line 2"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, _, err := reopen(t, c.journal); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}

func replaceLine(lines [][]byte, at int, damage func([]byte), more ...int) []byte {
	out := make([][]byte, len(lines))
	for i := range lines {
		out[i] = bytes.Clone(lines[i])
	}
	for _, i := range append(more, at) {
		damage(out[i])
	}
	return bytes.Join(out, nil)
}

func line(t *testing.T, c change) []byte {
	t.Helper()
	raw, err := encodeLine([]change{c})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestChangesThatArriveTogetherShareOneWrite(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	const many = 100
	done := make(chan error, many)
	s.disk.Lock() // the disk is busy
	for i := range many {
		go func() {
			_, err := s.Revoke(Token{ID: fmt.Sprint(i)})
			done <- err
		}()
	}
	for waiting := 0; waiting < many; {
		time.Sleep(time.Millisecond)
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
	raw, err := os.ReadFile(s.journal.path)
	if err != nil || bytes.Count(raw, []byte("\n")) != 2 {
		t.Errorf("%d changes made %d lines, %v, want one and the header", many, bytes.Count(raw, []byte("\n")), err)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(journalHeader))
	f.Add([]byte(journalHeader + "00000000 []\nxyz"))
	f.Add(append([]byte(journalHeader), "b8ab3de3 [{\"table\":\"token\",\"key\":\"1\",\"row\":{\"revoked\":true}}]\n"...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := newRows()
		torn, err := readJournal(bytes.NewReader(raw), r.replay)
		if err != nil {
			return
		}
		// What was read is read again without the end that was cut short.
		again := newRows()
		if more, err := readJournal(bytes.NewReader(raw[:len(raw)-torn]), again.replay); err != nil || more != 0 {
			t.Errorf("without the torn end: %d, %v", more, err)
		}
		if len(again.tokens.rows) != len(r.tokens.rows) {
			t.Errorf("%d and %d tokens", len(r.tokens.rows), len(again.tokens.rows))
		}
	})
}
