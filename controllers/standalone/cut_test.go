package standalone

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

const wholeFile = `# people
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: a}
spec: {login: a@example.com}
---
apiVersion: v1
kind: Secret
metadata: {name: a}
stringData:
  p: |
    secret
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: b}
spec: {}
`

// TestTruncatedFileLosesNothing truncates a file at every byte, as a reader sees a file that is
// being written. At the end of a document, the rest looks like a whole file.
func TestTruncatedFileLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	store, err := statedir.Open(filepath.Join(dir, ".gatehouse"), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	d := directory.New()
	m, err := New(Config{
		Dir: dir, Store: store, Records: NewRecords(store, d, log, time.Now), Directory: d, Keyer: password.NewKeyer(), Log: log, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) {
		t.Helper()
		now := time.Now()
		if err := os.WriteFile(filepath.Join(dir, "f.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.folder.Scan(now); err != nil {
			t.Fatal(err)
		}
		m.sync(now)
	}
	read(wholeFile)
	uids := store.Identities()
	for cut := range len(wholeFile) {
		read(wholeFile[:cut])
		if len(m.current) != 3 || d.Len() != 2 {
			t.Errorf("truncated after %q: got %d objects and %d users, want 3 and 2", wholeFile[max(0, cut-20):cut], len(m.current), d.Len())
		}
	}
	if !maps.Equal(uids, store.Identities()) {
		t.Errorf("got identities %v, want those from before: %v", store.Identities(), uids)
	}
}
