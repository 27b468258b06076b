package standalone

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
)

// removalGrace is how long an object must be missing before it is gone. Editors and git take a file away and put it back within
// milliseconds, and an object may move from one file to another.
const removalGrace = time.Second

// active is an object in force.
type active struct {
	manifest.Object
	file    string
	missing time.Time // since when no file has it; zero: one has it
}

func (h *active) place() string { return fmt.Sprintf("%s:%d", h.file, h.Line) }

// merge decides which object is in force where files disagree: the first by name of file, then by line. An object that no file
// has any more stays for removalGrace.
func (m *Manifests) merge(now time.Time) map[manifest.Key]*active {
	next := make(map[manifest.Key]*active, len(m.current))
	for name, file := range m.folder.All() {
		for _, f := range file.Faults {
			m.reports.fault(name, f)
		}
		for i := range file.Objects {
			m.enter(next, &active{Object: file.Objects[i], file: name})
		}
	}
	m.unfinished = false
	for key, old := range m.current {
		if next[key] != nil {
			continue
		}
		if old.missing.IsZero() {
			gone := *old
			gone.missing = now
			old = &gone
		}
		if now.Sub(m.quietSince(old)) < removalGrace {
			next[key] = old
			m.unfinished = true
		}
	}
	m.claimUIDs(next)
	return next
}

// quietSince returns since when nothing has happened that says that a missing object may come back: a file that is being
// written may have reached the end of some document.
func (m *Manifests) quietSince(h *active) time.Time {
	if written := m.folder.Modified(h.file); written.After(h.missing) {
		return written
	}
	return h.missing
}

// enter puts an object in force unless another one has its name.
func (m *Manifests) enter(next map[manifest.Key]*active, h *active) {
	first := next[h.Key]
	switch {
	case first != nil:
		m.reports.object(h, "it is also in "+first.place()+", which comes first and is used; remove one of the two")
	case len(next) >= manifest.MaximumObjects:
		m.reports.add("", "the folder", fmt.Sprintf("there are more than %d objects; those that come last are left out", manifest.MaximumObjects))
	default:
		next[h.Key] = h
	}
}

func inFolder(dir, path string) bool {
	a, errA := filepath.Abs(dir)
	b, errB := filepath.Abs(path)
	return errA == nil && errB == nil && a == b
}
