package lint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// now is the time at which the manifests of these tests are examined.
func now() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

// run examines paths and fails the test if it cannot.
func run(t *testing.T, c Config) Result {
	t.Helper()
	c.Now = now()
	if c.AdminGroups == nil {
		c.AdminGroups = []string{"gatehouse-admins"}
	}
	result, err := Run(c)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// wants matches the finding that a line of the test data announces.
var wants = regexp.MustCompile(`# want (\S+) (\S+)$`)

// announced returns the findings that the comments in a folder announce.
func announced(t *testing.T, dir string) (lines []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if m := wants.FindStringSubmatch(line); m != nil {
				lines = append(lines, fmt.Sprintf("%s:%d %s %s", file, i+1, m[1], m[2]))
			}
		}
	}
	return lines
}

func TestEveryWrongManifestIsFound(t *testing.T) {
	t.Parallel()
	var got []string
	for _, f := range run(t, Config{Paths: []string{"testdata/wrong"}}).Findings {
		got = append(got, fmt.Sprintf("%s:%d %s %s", f.Path, f.Line, f.Rule, f.Severity))
		if f.Column < 1 || f.Message == "" || strings.Contains(f.Message, "a password in plain text") || strings.Contains(f.Message, "argon2id$broken") {
			t.Errorf("finding %+v has no column or no message, or quotes a secret", f)
		}
	}
	want := announced(t, "testdata/wrong")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestColumnIsThatOfTheField(t *testing.T) {
	t.Parallel()
	text := "apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: a}\nspec: {login: \"a:b\"}\n"
	r := run(t, Config{Paths: []string{"-"}, Stdin: strings.NewReader(text)})
	if len(r.Findings) != 1 || r.Findings[0].Line != 4 || r.Findings[0].Column != 8 || r.Findings[0].Path != "<stdin>" {
		t.Errorf("got %+v, want a finding at <stdin>:4:8", r.Findings)
	}
}

func TestNothingIsFoundInGoodManifests(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"testdata/right", "../../config/samples"} {
		if r := run(t, Config{Paths: []string{dir}}); len(r.Findings) > 0 || r.Users == 0 {
			t.Errorf("%s: got %+v in %d Users, want no finding", dir, r.Findings, r.Users)
		}
	}
}

func TestOnlyNewAdministratorsAreAWarning(t *testing.T) {
	t.Parallel()
	before, after := t.TempDir(), t.TempDir()
	write := func(dir, name, groups string) {
		text := "apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: " + name +
			", annotations: {auth.gatehouse.dev/lint-ignore: no-password}}\nspec: {groups: [" + groups + "]}\n"
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(before, "old", "gatehouse-admins")
	write(before, "promoted", "operators")
	write(after, "old", "gatehouse-admins")
	write(after, "promoted", "operators, gatehouse-admins")
	r := run(t, Config{Paths: []string{after}, Base: []string{before}})
	if len(r.Findings) != 1 || r.Findings[0].Rule != RuleAdminGroup || r.Findings[0].Severity != Warning || !strings.HasSuffix(r.Findings[0].Object, "/promoted") {
		t.Errorf("got %+v, want a warning about promoted", r.Findings)
	}
}

func TestWhatCannotBeLookedAtIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := Run(Config{Paths: []string{"testdata/missing"}}); err == nil {
		t.Error("got no error for a missing path")
	}
	if _, err := Run(Config{Paths: []string{"testdata/right"}, Base: []string{"testdata/missing"}}); err == nil || !strings.Contains(err.Error(), "--base") {
		t.Errorf("got error %v for a missing base, want one that names --base", err)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	r := Result{Findings: []Finding{{
		Path: "a,b.yaml", Line: 3, Column: 5, Severity: Error, Rule: RuleSchema, Object: "User x/y", Message: "100% wrong\nreally",
	}}, Files: 1, Users: 1}
	for format, want := range map[string]string{
		FormatText:   "a,b.yaml:3:5: error: User x/y: 100% wrong\nreally [schema]\n",
		FormatGitHub: "::error file=a%2Cb.yaml,line=3,col=5,title=schema::100%25 wrong%0Areally\n",
	} {
		var out bytes.Buffer
		if err := r.Write(&out, format, "v1"); err != nil || out.String() != want {
			t.Errorf("%s: got %q and error %v, want %q", format, out.String(), err, want)
		}
	}
	for _, format := range []string{FormatJSON, FormatSARIF} {
		var out bytes.Buffer
		if err := r.Write(&out, format, "v1"); err != nil || !json.Valid(out.Bytes()) || !strings.Contains(out.String(), `"schema"`) {
			t.Errorf("%s: got %q and error %v", format, out.String(), err)
		}
	}
}

// crowd returns a manifest of 10,000 Users, each with a Secret or, if it is missing, a finding.
func crowd(missing bool) string {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "---\napiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: user-%d}\n"+
			"spec: {passwords: [{hashFrom: {secretKeyRef: {name: user-%d, key: passwordHash}}}]}\n", i, i)
		if !missing {
			fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: user-%d}\nstringData: {passwordHash: %q}\n",
				i, "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW")
		}
	}
	return text.String()
}

// BenchmarkLint examines 10,000 Users in one file.
func BenchmarkLint(b *testing.B) {
	for name, missing := range map[string]bool{"right": false, "wrong": true} {
		b.Run(name, func(b *testing.B) {
			text, want := crowd(missing), 0
			if missing {
				want = 10_000
			}
			for b.Loop() {
				r, err := Run(Config{Paths: []string{"-"}, Stdin: strings.NewReader(text), Now: now()})
				if err != nil || len(r.Findings) != want || r.Users != 10_000 {
					b.Fatalf("got error %v, %d Users and %d findings", err, r.Users, len(r.Findings))
				}
			}
		})
	}
}

// FuzzRun examines any text as a manifest. It must never panic, and each finding must have a place
// in the text.
func FuzzRun(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		if raw, err := yaml.YAMLToJSON(text); err == nil {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Run(Config{Paths: []string{"-"}, Stdin: bytes.NewReader(text), Now: now()})
		if err != nil {
			t.Fatal(err)
		}
		for _, finding := range r.Findings {
			if finding.Line < 1 || finding.Column < 1 || finding.Line > bytes.Count(text, []byte("\n"))+1 {
				t.Errorf("%+v is not in the text", finding)
			}
		}
	})
}
