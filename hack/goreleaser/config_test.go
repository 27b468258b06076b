package goreleaser

import (
	"slices"
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

func load(t *testing.T) config.Project {
	t.Helper()
	project, err := config.Load("../../.goreleaser.yaml") // refuses what it does not know
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestTheConfigurationIsThatOfThisVersion(t *testing.T) {
	project := load(t)
	if project.Version != 2 || !project.Release.Draft {
		t.Errorf("the release is of version %d, a draft: %t", project.Version, project.Release.Draft)
	}
}

func TestEveryFileOfTheReleaseHasAChecksum(t *testing.T) {
	project := load(t)
	if len(project.Release.ExtraFiles) == 0 || !slices.Equal(project.Release.ExtraFiles, project.Checksum.ExtraFiles) {
		t.Errorf("the release has %v, the checksums %v", project.Release.ExtraFiles, project.Checksum.ExtraFiles)
	}
	for _, file := range project.Release.ExtraFiles {
		if !strings.HasPrefix(file.Glob, "dist/") {
			t.Errorf("%s is not among the files that make writes", file.Glob)
		}
	}
}

func TestTheChecksumsAreSigned(t *testing.T) {
	project := load(t)
	if len(project.Signs) != 1 || project.Signs[0].Artifacts != "checksum" || project.Signs[0].Cmd != "cosign" {
		t.Errorf("signed are %+v", project.Signs)
	}
}

// What goreleaser would build beside the files of make would have other bytes under the same names.
func TestOnlyMakeBuilds(t *testing.T) {
	project := load(t)
	if len(project.Builds) != 1 || project.Builds[0].Skip != "true" {
		t.Errorf("goreleaser builds %+v", project.Builds)
	}
	if len(project.Before.Hooks) != 1 || project.Before.Hooks[0] != "make release-files" {
		t.Errorf("before a release runs %q", project.Before.Hooks)
	}
	if project.Dist == "dist" || project.Dist == "" {
		t.Error("goreleaser empties the folder that make writes to")
	}
}
