package standalone

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

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
	write := log.Warn
	switch p.level {
	case slog.LevelError:
		write = log.Error
	case slog.LevelInfo:
		write = log.Info
	}
	write("problem in the manifests", "at", p.place, "object", p.object, "problem", p.problem)
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
	r.put(report{place, object, problem, slog.LevelWarn})
}

// addFault adds what is wrong with a file.
func (r *reports) addFault(file string, f manifest.Fault) {
	p := report{fmt.Sprintf("%s:%d", file, f.Line), "", f.Message, slog.LevelError}
	if (f.Key != manifest.Key{}) {
		p.object = f.Key.String()
	}
	if f.Foreign {
		p.level = slog.LevelInfo
	}
	r.put(p)
}

// put adds a report. The line is not part of its key, so that a problem is not logged again when it
// moves within its file.
func (r *reports) put(p report) {
	file, _, _ := strings.Cut(p.place, ":")
	r.current[strings.Join([]string{file, p.object, p.problem}, "\x00")] = p
}
