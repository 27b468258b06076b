package standalone

import (
	"errors"
	"os"

	"github.com/fsnotify/fsnotify"
)

// folderWatch is the events of a folder.
type folderWatch struct {
	watcher *fsnotify.Watcher // nil: there are none
	watched os.FileInfo       // the folder that is watched, whatever has its name now
	events  chan fsnotify.Event
	errors  chan error
}

// watch begins to watch the folder. Where that cannot be done, looking at it now and then must do.
func (m *Manifests) watch() *folderWatch {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		m.log.Warn("the manifests cannot be watched; changes take some seconds to be seen", "error", err)
		return &folderWatch{}
	}
	w := &folderWatch{watcher: watcher, events: watcher.Events, errors: watcher.Errors}
	w.renew(m.folder.Dir)
	return w
}

// renew watches the folder that has the name now. Errors need no report: reading the folder fails too then.
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
