package integration_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	testName     = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
)

// testFiles calls do with the text of each test file of the repository.
func testFiles(t *testing.T, do func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		do(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestThreatsNameTheirTests reads the table of threats: the last column of each row names tests that
// exist, or says that the threat is accepted.
func TestThreatsNameTheirTests(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	testFiles(t, func(_, text string) {
		for _, m := range testFunction.FindAllStringSubmatch(text, -1) {
			exists[m[1]] = true
		}
	})
	page, err := os.ReadFile(filepath.Join(root, "docs", "threats.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || cells[0] == " who " {
			continue
		}
		rows++
		last := strings.TrimSpace(cells[len(cells)-1])
		names := testName.FindAllStringSubmatch(last, -1)
		accepted := strings.HasPrefix(last, "accepted")
		if len(cells) != 4 || len(names) == 0 && !accepted || accepted && !strings.Contains(cells[2], "accepted: ") {
			t.Errorf("the row names no test and is not accepted: %s", line)
		}
		for _, name := range names {
			if !exists[name[1]] {
				t.Errorf("there is no %s, which holds: %s", name[1], strings.TrimSpace(line))
			}
		}
	}
	if rows < 20 {
		t.Errorf("found %d threats", rows)
	}
}

// TestFuzzTargetsHaveSeeds checks that each fuzz target begins with inputs that are worth changing.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	t.Parallel()
	target := regexp.MustCompile(`(?ms)^func (Fuzz\w+)\(f \*testing\.F\) \{$(.*?)^\}$`)
	found := 0
	testFiles(t, func(path, text string) {
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			found++
			corpus, err := os.ReadDir(filepath.Join(filepath.Dir(path), "testdata", "fuzz", m[1]))
			if !strings.Contains(m[2], "f.Add(") && !strings.Contains(m[2], "(f)") && (err != nil || len(corpus) == 0) {
				t.Errorf("%s: %s has no seeds", path, m[1])
			}
		}
	})
	if found < 20 {
		t.Errorf("found %d fuzz targets", found)
	}
}
