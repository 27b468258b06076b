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

// TestAFileCutShortAnywhereLosesNothing cuts a file at every byte, as somebody sees it who reads while it is written, also at
// the end of a document, where what is left looks like a whole file.
func TestAFileCutShortAnywhereLosesNothing(t *testing.T) {
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
			t.Errorf("cut after %q: %d objects are left", wholeFile[max(0, cut-20):cut], len(m.current))
		}
	}
	if !maps.Equal(uids, store.Identities()) {
		t.Errorf("users are others now: %v, before %v", store.Identities(), uids)
	}
}
