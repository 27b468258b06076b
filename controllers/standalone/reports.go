package standalone

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
)

// maxReports is how many new reports are logged one by one. No one reads more of them when every
// user of a folder has the same fault.
const maxReports = 50

// reports logs what is wrong with the manifests: each problem once when it appears, and once when
// it is resolved.
type reports struct {
	log      *slog.Logger
	previous map[string]report
	current  map[string]report
}

// report is one problem.
type report struct {
	place   string // file and line; empty if it is about the whole folder
	object  string // empty if unknown
	problem string
	level   slog.Level
	// inForce says which version of a rejected object is in force; empty if nothing was rejected.
	inForce string
}

// begin starts a new set of reports, to which add and addFault add until finish.
func (r *reports) begin() { r.current = map[string]report{} }

// finish logs the differences between the new set of reports and the one before.
func (r *reports) finish() {
	added := missingFrom(r.previous, r.current)
	for _, key := range added[:min(len(added), maxReports)] {
		r.current[key].write(r.log)
	}
	if more := len(added) - maxReports; more > 0 {
		r.log.Warn("more problems in the manifests", "count", more)
	}
	resolved := missingFrom(r.current, r.previous)
	for _, key := range resolved[:min(len(resolved), maxReports)] {
		p := r.previous[key]
		r.log.Info("resolved", "at", p.place, "object", p.object, "problem", p.problem)
	}
	r.previous = r.current
}

func (p report) write(log *slog.Logger) {
	args := []any{"at", p.place, "object", p.object, "problem", p.problem}
	if p.inForce == "" {
		logAt(log, p.level)("problem in the manifests", args...)
		return
	}
	logAt(log, p.level)("rejected a manifest", append(args, "inForce", p.inForce)...)
}

// logAt returns the method of log for a level.
func logAt(log *slog.Logger, level slog.Level) func(message string, args ...any) {
	switch level {
	case slog.LevelError:
		return log.Error
	case slog.LevelWarn:
		return log.Warn
	}
	return log.Info
}

// rejected returns the number of rejected objects. Several faults of one object count once, and so
// does each fault of which the object is unknown.
func (r *reports) rejected() int {
	objects := map[string]bool{}
	for key, p := range r.current {
		if p.inForce == "" {
			continue
		}
		if p.object != "" {
			key = p.object
		}
		objects[key] = true
	}
	return len(objects)
}

// missingFrom returns the keys of reports that are not in set, in order.
func missingFrom(set, reports map[string]report) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(reports)), func(key string) bool {
		_, ok := set[key]
		return ok
	})
}

// add adds a warning.
func (r *reports) add(place, object, problem string) {
	r.put(report{place: place, object: object, problem: problem, level: slog.LevelWarn})
}

// addFault adds what is wrong with a file, which is kept if an earlier version of it is in force.
func (r *reports) addFault(name string, file *manifest.File, f manifest.Fault) {
	p := report{place: fmt.Sprintf("%s:%d", name, f.Line), problem: f.Message, level: slog.LevelError}
	if (f.Key != manifest.Key{}) {
		p.object = f.Key.String()
	}
	if f.Foreign {
		p.level = slog.LevelInfo
	} else {
		p.inForce = versionInForce(file.Kept, f.Key)
	}
	r.put(p)
}

// versionInForce says in words which version of a rejected object is in force. kept are the objects
// of an earlier version of the same file.
func versionInForce(kept map[manifest.Key]manifest.Object, key manifest.Key) string {
	o, ok := kept[key]
	switch {
	case ok && o.User != nil && o.User.Spec.Revoked:
		return "the version read at " + o.ReadAt.UTC().Format(time.RFC3339) + ", revoked"
	case ok:
		return "the version read at " + o.ReadAt.UTC().Format(time.RFC3339)
	case key == manifest.Key{} && len(kept) > 0:
		return "the last good version of every object that the file no longer has"
	}
	return "none"
}

// reject adds an object that is rejected for its relation to others.
func (r *reports) reject(place, object, problem, inForce string) {
	r.put(report{place: place, object: object, problem: problem, level: slog.LevelError, inForce: inForce})
}

// put adds a report. The line is not part of its key, so that a problem is not logged again when it
// moves within its file.
func (r *reports) put(p report) {
	file, _, _ := strings.Cut(p.place, ":")
	r.current[strings.Join([]string{file, p.object, p.problem}, "\x00")] = p
}
