package standalone

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
)

// removalGrace is how long an object must be in no file before it is removed. Editors and git take
// a file away and put it back within milliseconds, and an object may move to another file.
const removalGrace = time.Second

// merge returns the objects in force. Where files disagree about an object, the first one wins, by
// name of file and then by line. An object that has left all files stays for removalGrace.
func (m *Manifests) merge(now time.Time) map[manifest.Key]*active {
	next := make(map[manifest.Key]*active, len(m.current))
	for name, file := range m.folder.All() {
		for _, fault := range file.Faults {
			m.reports.addFault(name, file, fault)
		}
		for i := range file.Objects {
			m.activate(next, &active{Object: file.Objects[i], file: name})
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

// quietSince returns when the last thing happened that suggests that a missing object may come
// back: it left its file, or the file was written, which may have reached the end of some document
// only.
func (m *Manifests) quietSince(o *active) time.Time {
	if written := m.folder.Modified(o.file); written.After(o.missing) {
		return written
	}
	return o.missing
}

// activate adds an object to next unless another object has its key.
func (m *Manifests) activate(next map[manifest.Key]*active, o *active) {
	first := next[o.Key]
	switch {
	case o.Tenant != nil: // to ignore it would be to serve its Users without bounds
		m.reports.reject(o.place(), o.Key.String(), "a folder has no Tenants, and every User in it may have any login and group; "+
			"remove the Tenant, or serve its namespaces from a cluster", "none")
	case first != nil:
		m.reportObject(o, "duplicate of "+first.place()+", which comes first and is used; remove one of the two")
	case len(next) >= manifest.MaximumObjects:
		m.reports.add("", "folder", fmt.Sprintf("more than %d objects; the last ones are ignored: remove objects from the folder", manifest.MaximumObjects))
	default:
		next[o.Key] = o
	}
}
