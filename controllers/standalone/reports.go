package standalone

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
)

// reportsAtOnce is how many new reports are logged one by one; of a folder in which every user is at fault nobody reads more.
const reportsAtOnce = 50

// reports tells the operator what is wrong with the manifests: each thing once when it appears, and once when it is over.
type reports struct {
	log    *slog.Logger
	before map[string]report
	now    map[string]report
}

type report struct {
	place, about, message string
	level                 slog.Level
}

// begin forgets what was added since the last time, and finish logs what is new and what is over.
func (r *reports) begin() { r.now = map[string]report{} }

func (r *reports) finish() {
	fresh := newIn(r.now, r.before)
	for _, key := range fresh[:min(len(fresh), reportsAtOnce)] {
		r.now[key].write(r.log)
	}
	if more := len(fresh) - reportsAtOnce; more > 0 {
		r.log.Warn("there is more like this in the manifests", "count", more)
	}
	over := newIn(r.before, r.now)
	for _, key := range over[:min(len(over), reportsAtOnce)] {
		r.log.Info("no longer: "+r.before[key].message, "at", r.before[key].place, "object", r.before[key].about)
	}
	r.before = r.now
}

func (n report) write(log *slog.Logger) {
	write := log.Warn
	switch n.level {
	case slog.LevelError:
		write = log.Error
	case slog.LevelInfo:
		write = log.Info
	}
	write(n.message, "at", n.place, "object", n.about)
}

// newIn returns the keys of a that b has not, in order.
func newIn(a, b map[string]report) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(a)), func(key string) bool {
		_, ok := b[key]
		return ok
	})
}

func (r *reports) add(place, about, message string) {
	r.put(report{place, about, message, slog.LevelWarn})
}

// put adds a report. The line is no part of what tells it from others, so that one is not repeated when it moves.
func (r *reports) put(n report) {
	file, _, _ := strings.Cut(n.place, ":")
	r.now[strings.Join([]string{file, n.about, n.message}, "\x00")] = n
}

func (r *reports) fault(file string, f manifest.Fault) {
	n := report{fmt.Sprintf("%s:%d", file, f.Line), "", f.Message, slog.LevelError}
	if (f.Key != manifest.Key{}) {
		n.about = f.Key.String()
	}
	if f.Foreign {
		n.level = slog.LevelInfo
	}
	r.put(n)
}

func (r *reports) object(h *active, message string) { r.add(h.place(), h.Key.String(), message) }
