package cmd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/cmd/lint"
)

func TestLintExitCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"nothing found":                {[]string{"../config/samples"}, 0},
		"errors":                       {[]string{"lint/testdata/wrong"}, 1},
		"a missing path":               {[]string{"lint/testdata/missing"}, 2},
		"an unknown format":            {[]string{"-o", "xml", "../config/samples"}, 2},
		"an unknown severity":          {[]string{"--fail-on", "note", "../config/samples"}, 2},
		"an unknown flag":              {[]string{"--unknown", "../config/samples"}, 2},
		"no path":                      {nil, 2},
		"a warning that does not fail": {[]string{"--fail-on", "error", warningOnly(t)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			root := New("test")
			root.SetOut(&out)
			root.SetErr(&bytes.Buffer{})
			root.SetArgs(append([]string{"lint"}, c.args...))
			err := root.ExecuteContext(t.Context())
			code := 0
			if exit, ok := errors.AsType[*exitError](err); ok {
				code = exit.code
			} else if err != nil {
				code = 1
			}
			if code != c.want {
				t.Errorf("got exit code %d and error %v, want %d", code, err, c.want)
			}
			if strings.Count(out.String(), "\n") > 0 != (c.want == 1 || strings.HasPrefix(name, "a warning")) {
				t.Errorf("got the output %q", out.String())
			}
		})
	}
}

// warningOnly returns a folder with one manifest whose only finding is a warning.
func warningOnly(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text := "apiVersion: auth.gatehouse.dev/v1alpha1\nkind: User\nmetadata: {name: a}\nspec: {}\n"
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLintRulesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/lint.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range lint.Rules() {
		if !strings.Contains(string(page), "| `"+d.ID+"` |") || !strings.Contains(string(page), d.Text) {
			t.Errorf("docs/lint.md does not describe %s as %q", d.ID, d.Text)
		}
	}
}
