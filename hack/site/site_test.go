package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes files into a new folder, which it returns.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// want requires an error that has a text, or none if the text is empty.
func want(t *testing.T, err error, text string) {
	t.Helper()
	if text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
		t.Errorf("got %v, want %q", err, text)
	}
}

func TestSiteFaultsAreFound(t *testing.T) {
	t.Parallel()
	repository := write(t, map[string]string{"config/crd.yaml": ""})
	const start = `<a href="a/b.html#here">b</a>`
	const other = `<h2 id="here">Here</h2>`
	for name, c := range map[string]struct{ start, other, fault string }{
		"none":                       {start, other + `<a href="../index.html">start</a><a href="#here">here</a><a href="https://example.com/x">x</a>`, ""},
		"a page that is missing":     {start, other + `<a href="c.html">c</a>`, "b.html: c.html:"},
		"a section that is missing":  {`<a href="a/b.html#there">b</a>`, other, "no such section"},
		"a section of the same page": {start, other + `<a href="#there">there</a>`, "no such section"},
		"a picture that is missing":  {start, other + `<img src="x.svg" alt="x">`, "x.svg"},
		"a picture without words":    {start + `<img src="index.html" alt="">`, other, "no description"},
		"a file of the repository":   {start, other + `<a href="` + repositoryURL + `config/crd.yaml#L3">crd</a>`, ""},
		"a file that is missing":     {start, other + `<a href="` + repositoryURL + `config/gone.yaml">crd</a>`, "gone.yaml"},
		"a page without a way to it": {"", other, "a/b.html is not within 3 clicks"},
		"a page that is too large":   {start, other + strings.Repeat("large ", 40<<10), "more than 200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := write(t, map[string]string{"index.html": c.start, "a/b.html": c.other})
			want(t, checkSite(repository, site), c.fault)
		})
	}
}

func TestRepositoryFaultsAreFound(t *testing.T) {
	t.Parallel()
	const page = "# Title\n\n## Two `words`, [linked](#title)\n\n## Again\n\n## Again\n"
	for name, c := range map[string]struct{ text, fault string }{
		"none":                      {"[a](docs/page.md#two-words-linked) [b](docs/page.md#again-1) [c](https://example.com) [d](docs)", ""},
		"a file that is missing":    {"[a](docs/gone.md)", "docs/gone.md"},
		"a section that is missing": {"[a](docs/page.md#three)", "no such section"},
		"a link inside of code":     {"```\n[a](docs/gone.md)\n```", ""},
		"a link in a code span":     {"`[a](docs/gone.md)` [`b`](docs/page.md)", ""},
		"a page of the project":     {"[a](../../issues)", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, checkRepository(write(t, map[string]string{"README.md": c.text, "docs/page.md": page})), c.fault)
		})
	}
}
