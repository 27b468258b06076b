package manifest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testReader(t testing.TB) reader {
	t.Helper()
	schema, err := NewSchema("users")
	if err != nil {
		t.Fatal(err)
	}
	return reader{users: schema}
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

func TestUnchangedDocumentsAreReused(t *testing.T) {
	t.Parallel()
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
	if before.Objects[2].User != after.Objects[2].User || before.Objects[1].Secret == after.Objects[1].Secret {
		t.Error("want the same second User and a new Secret")
	}
	if got := after.Objects[2].Line; got != 17 {
		t.Errorf("the second User is at line %d, want 17", got)
	}
}

func TestOverlongFileIsRefused(t *testing.T) {
	t.Parallel()
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
	if len(f.Faults) != 1 || !strings.Contains(f.Faults[0].Message, "larger than 128 MiB") || !f.Unparsed {
		t.Errorf("got faults %+v, Unparsed %t", f.Faults, f.Unparsed)
	}
}

func TestSplitYAMLAtMarkers(t *testing.T) {
	t.Parallel()
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

func TestRestrictionsOfTextThatIsNotYAML(t *testing.T) {
	t.Parallel()
	after := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	alice := Key{"User", "gatehouse-users", "alice"}
	for text, want := range map[string]Restrictions{
		"kind: User\nmetadata:\n  name: alice\nspec:\n  revoked: true\n  email: 'open\n":                                   {Revoked: true},
		"kind: User # a person\nmetadata: {name: alice}\nspec: {revoked: yes, groups: [a}\n":                               {Revoked: true},
		"kind: User\nmetadata:\n  labels: {a: b\n  name: \"alice\"\nspec:\n  tokensValidAfter: \"2026-11-22T00:00:00Z\"\n": {TokensValidAfter: after},
		"kind: User\nmetadata:\n  name: alice\nspec:\n\trevoked: false\n":                                                  {},
		"kind: User\nmetadata:\n  name: alice\n  annotations: {x: {revoked: true}\n":                                       {},
		"kind: User\nmetadata:\n  name: alice\nspec:\n  # revoked: true\n  {\n":                                            {},
	} {
		if key, got, ok := scanRestrictions([]byte(text)); !ok || key != alice || got != want {
			t.Errorf("%q: got %v %+v %t, want %+v", text, key, got, ok, want)
		}
	}
	for _, text := range []string{"kind: Secret\nmetadata:\n  name: alice\nspec:\n  revoked: true\n", "kind: User\nspec:\n  revoked: true\n"} {
		if key, got, ok := scanRestrictions([]byte(text)); ok {
			t.Errorf("%q: got %v %+v", text, key, got)
		}
	}
}

func FuzzManifest(f *testing.F) {
	r := testReader(f)
	f.Add([]byte(threeDocuments), false)
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"data":{"k":"djE="}}]} []`), true)
	f.Add([]byte("\"\r\r\r"), false)
	f.Add([]byte("kind: User\nmetadata: {name: u, namespace: n}\nspec: {revoked: true, tokensValidAfter: \"2026-11-22T00:00:00Z\", {\n"), false)
	f.Add([]byte("a: &a [*a]\n---\nb: {<<: *x}\n--- !!binary x\n"), false)
	f.Add([]byte("apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: u, uid: 1}\nspec: {passwords: [{hashFrom: 1}], expiresAt: 1}\n"), false)
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		sections := splitYAML(text)
		if isJSON {
			sections = splitJSON(text)
		} else {
			var concatenated []byte
			for _, s := range sections {
				concatenated = append(concatenated, s.text...)
			}
			if !bytes.Equal(concatenated, text) {
				t.Error("the documents do not add up to the file")
			}
		}
		var file File
		r := r
		r.isJSON = isJSON
		file.read(r, sections, nil, time.Now())
		scanRestrictions(text)
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, o := range file.Objects {
			if (o.User == nil) == (o.Secret == nil) || o.Key.Name == "" || o.Key.Namespace == "" || o.Line < 1 || o.Line > lines {
				t.Errorf("invalid object %+v in %d lines", o, lines)
			}
		}
		for _, fault := range file.Faults {
			if fault.Message == "" || fault.Line < 1 || fault.Line > lines {
				t.Errorf("invalid fault %+v in %d lines", fault, lines)
			}
		}
	})
}

// BenchmarkFolderOf100000Users measures how long it takes to read 100,000 Users from 100 files.
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
			folder := Folder{Dir: dir, reader: r}
			if _, err := folder.Scan(time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A pattern cannot refuse a date that no calendar has.
func TestImpossibleDateIsRefused(t *testing.T) {
	t.Parallel()
	r, path := testReader(t), filepath.Join(t.TempDir(), "f.yaml")
	text := strings.Replace(threeDocuments, "{login: a@example.com}", `{expiresAt: "2031-02-31T00:00:00Z"}`, 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	read := r.file(path, nil, time.Now())
	if len(read.Objects) != 2 || len(read.Faults) != 1 || !strings.Contains(fmt.Sprint(read.Faults[0]), "expiresAt") {
		t.Errorf("%d objects and the faults %v, want the other two and one fault", len(read.Objects), read.Faults)
	}
}
