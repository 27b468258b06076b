package release

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// workflow is what the tests need of a workflow.
type workflow struct {
	Permissions map[string]string `json:"permissions"`
	Jobs        map[string]struct {
		Permissions map[string]string `json:"permissions"`
		Timeout     int               `json:"timeout-minutes"`
		Steps       []struct {
			Uses string         `json:"uses"`
			Run  string         `json:"run"`
			With map[string]any `json:"with"`
		} `json:"steps"`
	} `json:"jobs"`
}

// workflows returns the text of each workflow by its path.
func workflows(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(root + "/.github/workflows/*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	out := map[string]string{}
	for _, path := range paths {
		name := strings.TrimPrefix(path, root+"/")
		out[name] = read(t, name)
	}
	return out
}

func parse(t *testing.T, text string) workflow {
	t.Helper()
	var w workflow
	if err := yaml.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestActionsArePinnedByDigest(t *testing.T) {
	t.Parallel()
	pinned := regexp.MustCompile(`^[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	texts := workflows(t)
	texts["action.yaml"] = read(t, "action.yaml")
	pins := map[string]string{}
	for path, text := range texts {
		for line := range strings.Lines(text) {
			_, action, ok := strings.Cut(strings.TrimSpace(line), "uses: ")
			if !ok {
				continue
			}
			if !pinned.MatchString(action) {
				t.Errorf("%s uses %s, which is not pinned by a digest with its version", path, action)
			}
			name, pin, _ := strings.Cut(action, "@")
			if other, ok := pins[name]; ok && other != pin {
				t.Errorf("%s uses %s at %s, others at %s", path, name, pin, other)
			}
			pins[name] = pin
		}
	}
}

func TestJobsHaveTheRightsThatTheyName(t *testing.T) {
	t.Parallel()
	for path, text := range workflows(t) {
		w := parse(t, text)
		if w.Permissions == nil || len(w.Permissions) > 0 {
			t.Errorf("%s gives every job %v; a workflow begins with permissions: {}", path, w.Permissions)
		}
		for name, job := range w.Jobs {
			if len(job.Permissions) == 0 {
				t.Errorf("job %s of %s does not say its permissions", name, path)
			}
			if job.Timeout == 0 {
				t.Errorf("job %s of %s has no timeout", name, path)
			}
			for right, level := range job.Permissions {
				if level == "write" && !mayWrite(path, right) {
					t.Errorf("job %s of %s may write %s", name, path, right)
				}
			}
		}
	}
}

// mayWrite says which rights a workflow needs. Those that run on pull requests need none.
func mayWrite(path, right string) bool {
	rights := map[string]string{
		"release.yaml":   "contents packages id-token attestations",
		"docs.yaml":      "pages id-token",
		"scorecard.yaml": "security-events id-token",
	}
	for r := range strings.FieldsSeq(rights[filepath.Base(path)]) {
		if r == right {
			return true
		}
	}
	return false
}

func TestWorkflowsCompileWithTheCompilerOfTheImage(t *testing.T) {
	t.Parallel()
	compiler := regexp.MustCompile(`golang:(\S+) AS build`).FindStringSubmatch(read(t, "Dockerfile"))
	if compiler == nil {
		t.Fatal("the Dockerfile names no compiler")
	}
	for path, text := range workflows(t) {
		for name, job := range parse(t, text).Jobs {
			for _, step := range job.Steps {
				if version, ok := step.With["go-version"]; ok && version != compiler[1] {
					t.Errorf("job %s of %s uses Go %v, the Dockerfile %s", name, path, version, compiler[1])
				}
			}
		}
	}
}

func TestWorkflowsRunTargetsThatExist(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[found[1]] = true
	}
	made := 0
	for path, text := range workflows(t) {
		for _, job := range parse(t, text).Jobs {
			for _, step := range job.Steps {
				for _, found := range regexp.MustCompile(`\bmake ([a-z0-9-]+)`).FindAllStringSubmatch(step.Run, -1) {
					made++
					if !targets[found[1]] {
						t.Errorf("%s runs make %s, which the Makefile does not have", path, found[1])
					}
				}
			}
		}
	}
	if made < 5 {
		t.Errorf("the workflows run %d targets", made)
	}
}

func TestCheckoutsLeaveNoCredentials(t *testing.T) {
	t.Parallel()
	for path, text := range workflows(t) {
		for name, job := range parse(t, text).Jobs {
			for _, step := range job.Steps {
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("job %s of %s leaves its credentials in the work tree", name, path)
				}
			}
		}
	}
}
