package controllers

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/state"
)

func testReader(t testing.TB) reader {
	t.Helper()
	schema, err := newUserSchema()
	if err != nil {
		t.Fatal(err)
	}
	return reader{schema}
}

const threeDocuments = `# people
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
	store, err := state.Open(filepath.Join(dir, ".gatehouse"), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	d := directory.New()
	m, err := NewManifests(ManifestsConfig{
		Dir: dir, Store: store, Records: NewStateRecords(store, d, log, time.Now), Directory: d, Keyer: password.NewKeyer(), Log: log, Now: time.Now,
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
		if _, err := m.folder.scan(m.reader, now); err != nil {
			t.Fatal(err)
		}
		m.sync(now)
	}
	read(threeDocuments)
	uids := store.Identities()
	for cut := range len(threeDocuments) {
		read(threeDocuments[:cut])
		if len(m.current) != 3 || d.Len() != 2 {
			t.Errorf("cut after %q: %d objects are left", threeDocuments[max(0, cut-20):cut], len(m.current))
		}
	}
	if !maps.Equal(uids, store.Identities()) {
		t.Errorf("users are others now: %v, before %v", store.Identities(), uids)
	}
}

func TestOnlyDocumentsThatChangedAreReadAgain(t *testing.T) {
	r, path := testReader(t), filepath.Join(t.TempDir(), "f.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(threeDocuments)
	before := r.file(path, nil, time.Now())
	write("\n\n---\n" + strings.Replace(threeDocuments, "secret", "changed", 1))
	after := r.file(path, before, time.Now())
	if before.objects[2].user != after.objects[2].user || before.objects[1].secret == after.objects[1].secret {
		t.Error("want the same second user and another Secret")
	}
	if got := after.objects[2].line; got != 17 {
		t.Errorf("the second user is at line %d now, want 17", got)
	}
}

func TestAFileTooLongIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(maximumFile + 1); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	f := testReader(t).file(path, nil, time.Now())
	if len(f.faults) != 1 || !strings.Contains(f.faults[0].message, "longer than 128 MiB") || !f.blind {
		t.Errorf("got %+v", f.faults)
	}
}

func TestALineOfDashesIsNoMarkerUnlessItIsThree(t *testing.T) {
	for text, want := range map[string]int{
		"a\n---\nb":              2,
		"a\n--- # comment\nb":    2,
		"a\n---\r\nb":            2,
		"---\na":                 1,
		"a\n-----BEGIN X-----\n": 1,
		"a\n ---\nb":             1,
		"":                       1,
		"a\n---":                 2,
	} {
		if got := len(splitYAML([]byte(text))); got != want {
			t.Errorf("%q: %d documents, want %d", text, got, want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	r := testReader(f)
	f.Add([]byte(threeDocuments), false)
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"data":{"k":"djE="}}]} []`), true)
	f.Add([]byte("\"\r\r\r"), false)
	f.Add([]byte("a: &a [*a]\n---\nb: {<<: *x}\n--- !!binary x\n"), false)
	f.Add([]byte("apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: u, uid: 1}\nspec: {passwords: [{hashFrom: 1}], expiresAt: 1}\n"), false)
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		sections := splitYAML(text)
		if isJSON {
			sections = splitJSON(text)
		} else {
			var joined []byte
			for _, s := range sections {
				joined = append(joined, s.text...)
			}
			if !bytes.Equal(joined, text) {
				t.Error("the documents are not the file")
			}
		}
		var file manifestFile
		file.read(r, sections, isJSON, nil)
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, o := range file.objects {
			if (o.user == nil) == (o.secret == nil) || o.key.name == "" || o.key.namespace == "" || o.line < 1 || o.line > lines {
				t.Errorf("object %+v", o)
			}
		}
		for _, fault := range file.faults {
			if fault.message == "" || fault.line < 1 || fault.line > lines {
				t.Errorf("fault %+v in %d lines", fault, lines)
			}
		}
	})
}

// BenchmarkFolderOf100000Users reads them for the first time, and then one file of a hundred that has changed.
func BenchmarkFolderOf100000Users(b *testing.B) {
	dir := b.TempDir()
	for f := range 100 {
		var text bytes.Buffer
		for i := range 1000 {
			fmt.Fprintf(&text, `---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: u%[1]d}
spec:
  login: u%[1]d@example.com
  groups: [operators, admins]
  passwords:
  - hashFrom: {secretKeyRef: {name: u%[1]d, key: hash}}
---
apiVersion: v1
kind: Secret
metadata: {name: u%[1]d}
stringData: {hash: '$2y$10$zJnaPcLPolqMhHfmIP8I4Os2VgbXPLNCQ1/Ddk/oCp/Mq32xkKIQW'}
`, f*1000+i)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.yaml", f)), text.Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	r := testReader(b)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			folder := manifestFolder{dir: dir}
			if _, err := folder.scan(r, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
