package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// script runs a script of hack/ in a copy of the tree that has only it and the given files.
func script(t *testing.T, name string, files map[string]string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	files["hack/"+name] = read(t, "hack/"+name)
	for path, text := range files {
		target := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "hack", name), args...).CombinedOutput()
	return string(out), err
}

const changelog = `# Changelog

## [Unreleased]

## [1.2.0] - 2027-01-02

### Added

- A thing.

## [1.1.0] - 2026-12-01

- An older thing.

[1.2.0]: https://example.com/1.2.0
`

func TestReleaseNotesAreThoseOfTheVersion(t *testing.T) {
	t.Parallel()
	out, err := script(t, "release-notes.sh", map[string]string{"CHANGELOG.md": changelog}, "v1.2.0")
	if err != nil || strings.TrimSpace(out) != "### Added\n\n- A thing." {
		t.Errorf("the notes are %q: %v", out, err)
	}
	out, err = script(t, "release-notes.sh", map[string]string{"CHANGELOG.md": changelog}, "v1.1.0")
	if err != nil || strings.TrimSpace(out) != "- An older thing." {
		t.Errorf("the notes of the last section are %q: %v", out, err)
	}
}

func TestNothingIsReleasedWithoutNotes(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1.3.0", "v1.2", "Unreleased"} {
		if out, err := script(t, "release-notes.sh", map[string]string{"CHANGELOG.md": changelog}, version); err == nil {
			t.Errorf("%s has the notes %q", version, out)
		}
	}
}

func TestTheChangelogTellsOfUnreleasedChanges(t *testing.T) {
	t.Parallel()
	text := read(t, "CHANGELOG.md")
	headings := regexp.MustCompile(`(?m)^## \[(.*?)\](.*)$`).FindAllStringSubmatch(text, -1)
	if len(headings) == 0 || headings[0][1] != "Unreleased" {
		t.Fatalf("CHANGELOG.md begins with %q, want Unreleased", headings)
	}
	for _, h := range headings[1:] {
		if !regexp.MustCompile(`^ - \d{4}-\d{2}-\d{2}$`).MatchString(h[2]) {
			t.Errorf("the version %s has no date", h[1])
		}
	}
}

func TestManifestsNameTheImage(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("1", 64)
	for image, want := range map[string]string{
		"registry.test/gatehouse:1":                    `newName: "registry.test/gatehouse", newTag: "1", digest: ""`,
		"registry.test:5000/gatehouse:1":               `newName: "registry.test:5000/gatehouse", newTag: "1", digest: ""`,
		"registry.test:5000/gatehouse@" + digest:       `newName: "registry.test:5000/gatehouse", newTag: "", digest: "` + digest + `"`,
		"registry.test:5000/gatehouse:v1.2@" + digest:  `newName: "registry.test:5000/gatehouse", newTag: "v1.2", digest: "` + digest + `"`,
		"registry.test/deep/er/gatehouse:v1@" + digest: `newName: "registry.test/deep/er/gatehouse", newTag: "v1", digest: "` + digest + `"`,
	} {
		// What stands in for kustomize prints the overlay.
		kustomize := "#!/bin/sh\ncat \"$2/kustomization.yaml\"\n"
		out, err := script(t, "with-image.sh", map[string]string{"kustomize": kustomize}, "./kustomize", image, "config/default")
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s gives %q, want %s: %v", image, out, want, err)
		}
	}
	for _, image := range []string{"registry.test/gatehouse", "registry.test:5000/gatehouse"} {
		if out, err := script(t, "with-image.sh", map[string]string{}, "true", image, "config/default"); err == nil {
			t.Errorf("%s is accepted: %q", image, out)
		}
	}
}
