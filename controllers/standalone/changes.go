package standalone

import (
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// maxNames is how many users one line of the log names.
const maxNames = 20

// lookedFor says where users are expected. It is logged when there are none.
const lookedFor = "objects of apiVersion auth.gatehouse.dev/v1alpha1 and kind User in *.yaml, *.yml and *.json, not in subfolders"

// changes are the users that one sync has changed in the directory.
type changes struct {
	added, changed, removed []manifest.Key
}

// logLoaded logs what was found at the start.
func (m *Manifests) logLoaded() {
	level := slog.LevelInfo
	if m.Rejected() > 0 {
		level = slog.LevelWarn
	}
	logAt(m.log, level)("loaded manifests",
		"folder", m.folder.Dir, "files", m.folder.Len(), "users", m.directory.Len(), "errors", m.Rejected())
	m.warnIfEmpty()
}

// logReloaded logs what the last sync has changed, if it has changed anything. rejected is the number
// of rejected objects before it.
func (m *Manifests) logReloaded(rejected int) {
	c := m.changes
	if len(c.added)+len(c.changed)+len(c.removed) == 0 && rejected == m.Rejected() {
		return
	}
	level := slog.LevelInfo
	if m.Rejected() > 0 {
		level = slog.LevelWarn
	}
	logAt(m.log, level)("reloaded manifests",
		"added", names(c.added), "changed", names(c.changed), "removed", names(c.removed),
		"users", m.directory.Len(), "errors", m.Rejected())
	if len(c.removed) > 0 {
		m.warnIfEmpty()
	}
}

// warnIfEmpty warns if there is no user.
func (m *Manifests) warnIfEmpty() {
	if m.directory.Len() == 0 {
		m.log.Warn("no users in the manifests", "folder", m.folder.Dir, "lookedFor", lookedFor)
	}
}

// names returns the users as they are logged, in order, and "..." in the place of those that are too
// many.
func names(keys []manifest.Key) []string {
	all := make([]string, 0, len(keys))
	for _, key := range keys {
		all = append(all, key.DirectoryKey())
	}
	slices.Sort(all)
	if len(all) > maxNames {
		all = append(all[:maxNames], "...")
	}
	return all
}

// logStates logs the users whose state has changed since the last call, such as one that was locked
// or whose account has expired. In a cluster their status shows that.
func (m *Manifests) logStates(now time.Time) {
	logged := 0
	for key := range m.projected {
		u, ok := m.directory.ByKey(key.DirectoryKey())
		if !ok {
			continue
		}
		holder, held := m.directory.ByLogin(u.Login)
		state := u.State(now, held && holder.Key == u.Key)
		before, known := m.states[key]
		m.states[key] = state
		if state == before || (!known && state == directory.StateActive) {
			continue
		}
		if logged++; logged <= maxReports {
			m.logState(u, before, state)
		}
	}
	if logged > maxReports {
		m.log.Warn("the state of more users has changed", "count", logged-maxReports)
	}
}

// logState logs a change of the state of a user. before is empty for a user who is new.
func (m *Manifests) logState(u *directory.User, before, state string) {
	level := slog.LevelInfo
	args := []any{"user", u.Key, "state", state, "before", before}
	if state == string(authv1alpha1.UserLocked) {
		level = slog.LevelWarn
		args = append(args, "lockedUntil", u.LockedUntil)
	}
	logAt(m.log, level)("the state of a user has changed", args...)
}

// RejectedGauge returns the metric of rejected objects, whose number rejected returns.
func RejectedGauge(rejected func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatehouse_manifests_rejected_objects",
		Help: "Objects in the folder of manifests that are rejected. Their last good version stays in force, if there is one.",
	}, func() float64 { return float64(rejected()) })
}
