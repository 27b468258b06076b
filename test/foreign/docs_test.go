package foreign_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docsBlock returns the block of a page in docs/ whose first line is a comment that begins with
// title, with old and new strings replaced in pairs as by strings.NewReplacer. Each old string must
// be there, so that a page cannot drift away from its test.
func docsBlock(t *testing.T, page, title string, replacements ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "\n```")
	for i := 1; i < len(blocks); i += 2 {
		_, block, _ := strings.Cut(blocks[i], "\n") // what follows the backquotes names the language
		comment := strings.TrimLeft(block, "#/-")
		if comment == block || !strings.HasPrefix(comment, " "+title) {
			continue
		}
		for j := 0; j < len(replacements); j += 2 {
			if !strings.Contains(block, replacements[j]) {
				t.Fatalf("%s in %s does not contain %q", title, page, replacements[j])
			}
		}
		return strings.NewReplacer(replacements...).Replace(block) + "\n"
	}
	t.Fatalf("%s has no block that begins with the comment %q", page, title)
	return ""
}

// writeFile creates a file in a folder of the test and returns its path.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readFile returns the content of a file.
func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
