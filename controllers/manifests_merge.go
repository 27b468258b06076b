package controllers

import (
	"fmt"
	"path/filepath"
	"time"
)

// removalGrace is how long an object must be missing before it is gone. Editors and git take a file away and put it back within
// milliseconds, and an object may move from one file to another.
const removalGrace = time.Second

// held is an object in force.
type held struct {
	object
	file    string
	missing time.Time // since when no file has it; zero: one has it
}

func (h *held) place() string { return fmt.Sprintf("%s:%d", h.file, h.line) }

// merge decides which object is in force where files disagree: the first by name of file, then by line. An object that no file
// has any more stays for removalGrace.
func (m *Manifests) merge(now time.Time) map[objectKey]*held {
	next := make(map[objectKey]*held, len(m.current))
	for _, name := range m.folder.names() {
		file := m.folder.files[name]
		for _, f := range file.faults {
			m.reports.fault(name, f)
		}
		for i := range file.objects {
			m.enter(next, &held{object: file.objects[i], file: name})
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
func (m *Manifests) quietSince(h *held) time.Time {
	if f := m.folder.files[h.file]; f != nil && f.info != nil && f.info.ModTime().After(h.missing) {
		return f.info.ModTime()
	}
	return h.missing
}

// enter puts an object in force unless another one has its name.
func (m *Manifests) enter(next map[objectKey]*held, h *held) {
	first := next[h.key]
	switch {
	case first != nil:
		m.reports.object(h, "it is also in "+first.place()+", which comes first and is used; remove one of the two")
	case len(next) >= maximumObjects:
		m.reports.add("", "the folder", fmt.Sprintf("there are more than %d objects; those that come last are left out", maximumObjects))
	default:
		next[h.key] = h
	}
}

// certain says whether every object that any file is meant to hold is known, so that what is not there is gone.
func (m *Manifests) certain() bool {
	for _, f := range m.folder.files {
		if f.blind {
			return false
		}
	}
	return true
}

// refused says whether some file has an object of this name that cannot be used.
func (m *Manifests) refused() map[objectKey]bool {
	out := map[objectKey]bool{}
	for _, f := range m.folder.files {
		for _, fault := range f.faults {
			out[fault.key] = true
		}
	}
	return out
}

func inFolder(dir, path string) bool {
	a, errA := filepath.Abs(dir)
	b, errB := filepath.Abs(path)
	return errA == nil && errB == nil && a == b
}
