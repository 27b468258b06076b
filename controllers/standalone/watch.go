package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
)

const (
	// settle is how long the folder must be without events before it is read, so that a file is
	// read after it was written. maxSettle is how long a read is put off in a folder that does not
	// settle.
	settle    = 100 * time.Millisecond
	maxSettle = time.Second
	// pollEvery is how often the folder is read without an event, because network file systems do
	// not send any for changes on other machines.
	pollEvery = 5 * time.Second
)

// Start reads the folder, marks the directory as synced, and follows the folder until ctx ends. It
// returns an error if the folder cannot be read at first. If that happens later, it logs the error
// and everything stays as it is.
func (m *Manifests) Start(ctx context.Context) error {
	watch := newFolderWatch(m.folder.Dir, m.log)
	defer watch.close()
	if _, err := m.folder.Scan(m.now()); err != nil { //nolint:contextcheck // the rules of the schema have a budget
		return fmt.Errorf("read the manifests: %w: set --manifests to a folder of User and Secret YAML", err)
	}
	m.sync(m.now())
	m.directory.MarkSynced()
	m.logLoaded()
	m.logStates(m.now())
	if m.loaded != nil {
		m.loaded()
	}
	m.follow(ctx, watch)
	return nil
}

// follow reads the folder after events, and from time to time without, until ctx ends.
func (m *Manifests) follow(ctx context.Context, watch *folderWatch) {
	timer := time.NewTimer(m.nextScan())
	defer timer.Stop()
	var firstEvent time.Time // since the last scan; zero if there was none
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-watch.events:
			if !relevant(event.Name) {
				continue
			}
			if firstEvent.IsZero() {
				firstEvent = m.now()
			}
			timer.Reset(min(settle, max(0, maxSettle-m.now().Sub(firstEvent))))
		case err := <-watch.errors:
			m.log.Warn("lost events of the manifest folder; reading it again", "error", err)
			timer.Reset(settle)
		case <-timer.C:
			firstEvent = time.Time{}
			m.rescan(watch) //nolint:contextcheck // the rules of the schema have a budget
			timer.Reset(m.nextScan())
		}
	}
}

// rescan reads what has changed. While the folder is missing, everything stays: it is about to be
// put back, or a disk is not mounted.
func (m *Manifests) rescan(watch *folderWatch) {
	watch.renew(m.folder.Dir)
	changed, err := m.folder.Scan(m.now())
	if missing := err != nil; missing != m.missing {
		m.missing = missing
		if missing {
			m.log.Error("cannot read the manifest folder; keeping all users until it can be read", "error", err)
		} else {
			m.log.Info("manifest folder can be read again", "folder", m.folder.Dir)
		}
	}
	if err != nil {
		return
	}
	m.directory.Touch(m.now())
	if changed || m.unfinished {
		rejected := m.Rejected()
		m.sync(m.now())
		m.logReloaded(rejected)
	}
	m.logStates(m.now())
}

// nextScan returns how long the next scan can wait if there is no event.
func (m *Manifests) nextScan() time.Duration {
	wait := pollEvery
	if m.folder.Unsettled() {
		wait = manifest.ClockGrain
	}
	for _, o := range m.current {
		if !o.missing.IsZero() {
			wait = min(wait, max(0, removalGrace-m.now().Sub(m.quietSince(o))))
		}
	}
	return wait
}

// relevant reports whether an event for path may change the manifests. Names that begin with two
// dots are those by which the kubelet swaps a mounted ConfigMap or Secret for its next version.
func relevant(path string) bool {
	name := filepath.Base(path)
	return manifest.IsManifest(name) || strings.HasPrefix(name, "..")
}

// folderWatch delivers the events of a folder.
type folderWatch struct {
	watcher *fsnotify.Watcher // nil if the folder cannot be watched; then there are no events
	watched os.FileInfo       // the folder that is watched, which may have lost its name to another
	events  chan fsnotify.Event
	errors  chan error
}

// newFolderWatch watches a folder. If that is impossible, it logs why and returns a watch without
// events: changes are then seen by polling.
func newFolderWatch(dir string, log *slog.Logger) *folderWatch {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("cannot watch the manifest folder; changes take effect within some seconds", "error", err)
		return &folderWatch{}
	}
	w := &folderWatch{watcher: watcher, events: watcher.Events, errors: watcher.Errors}
	w.renew(dir)
	return w
}

// renew watches the folder that has the name dir now, if that is not the watched one. It drops
// errors, because the read of the folder that follows fails and reports them.
func (w *folderWatch) renew(dir string) {
	if w.watcher == nil {
		return
	}
	now, err := os.Stat(dir)
	if err != nil || (w.watched != nil && os.SameFile(w.watched, now)) {
		return
	}
	if err := w.watcher.Remove(dir); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
		return
	}
	if w.watcher.Add(dir) == nil {
		w.watched = now
	}
}

func (w *folderWatch) close() {
	if w.watcher != nil {
		_ = w.watcher.Close() // nothing was written
	}
}
