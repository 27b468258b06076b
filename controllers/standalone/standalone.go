// Package standalone serves Users from a folder of manifests, without a cluster: it fills the directory, and keeps records, keys and the
// CA in a state folder.
package standalone

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

const (
	// settle is how long nothing must happen in the folder before it is read, so that a file is read after it was written, and
	// noisy is how long that is waited for.
	settle    = 100 * time.Millisecond
	maxSettle = time.Second
	// pollEvery is how often the folder is looked at without an event: file systems of other machines send none.
	pollEvery = 5 * time.Second
)

// Config is what Manifests need.
type Config struct {
	Dir       string // the folder of manifests
	Store     *statedir.Store
	Records   *Records
	Directory *directory.Directory
	Keyer     *password.Keyer // of plaintext passwords
	Log       *slog.Logger
	Now       func() time.Time
}

// Manifests fill the directory from a folder of the same YAML that kubectl applies: *.yaml, *.yml and *.json, not hidden and not
// in folders below, with any number of Users and Secrets in each. What an API server would refuse is reported with file and
// line, and the last good version of that object stays. The folder is watched. Create them with New and start them
// with Start.
type Manifests struct {
	store     *statedir.Store
	records   *Records
	directory *directory.Directory
	projector *projection.Projector
	log       *slog.Logger
	now       func() time.Time

	folder  *manifest.Folder
	reports reports
	missing bool // the folder could not be read the last time

	current   map[manifest.Key]*active
	projected map[manifest.Key]*projected
	undropped map[string]bool // identities that are gone but could not be dropped yet

	unfinished bool // something waits for its time, or for the disk
}

// New returns Manifests that have read nothing yet.
func New(cfg Config) (*Manifests, error) {
	if inFolder(cfg.Dir, cfg.Store.Dir()) {
		return nil, fmt.Errorf("the state folder must not be the folder of the manifests, %s, itself: name another one with --state-dir", cfg.Dir)
	}
	folder, err := manifest.NewFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	projector, err := lastingProjector(cfg.Keyer, cfg.Store.Dir())
	if err != nil {
		return nil, err
	}
	return &Manifests{
		store: cfg.Store, records: cfg.Records, directory: cfg.Directory, projector: projector, log: cfg.Log, now: cfg.Now,
		folder: folder, reports: reports{log: cfg.Log},
		projected: map[manifest.Key]*projected{}, undropped: map[string]bool{},
	}, nil
}

// lastingProjector returns a Projector whose revisions mean the same after a restart, so that a lock is known to be about the same
// passwords.
func lastingProjector(keyer *password.Keyer, dir string) (*projection.Projector, error) {
	const entry = "key"
	entries, err := statedir.UpdateEntries(dir, "revisions", func(entries map[string][]byte) (map[string][]byte, error) {
		if len(entries[entry]) == 0 {
			entries[entry] = make([]byte, sha256.Size)
			_, _ = rand.Read(entries[entry]) // never fails, by its own contract
		}
		return entries, nil
	})
	if err != nil {
		return nil, err
	}
	return projection.NewProjector(keyer, entries[entry]), nil
}

// Start reads the folder, marks the directory synced, and follows the folder until the context ends. It fails when the folder
// cannot be read at first; later that is reported, and everything stays as it is.
func (m *Manifests) Start(ctx context.Context) error {
	watch := m.watch()
	defer watch.close()
	if _, err := m.folder.Scan(m.now()); err != nil { //nolint:contextcheck // the rules of the schema have a budget
		return fmt.Errorf("read the manifests: %w: name a folder of User and Secret YAML with --manifests", err)
	}
	m.sync(m.now())
	m.directory.MarkSynced()
	m.log.Info("the manifests are read", "folder", m.folder.Dir, "files", m.folder.Len(), "users", m.directory.Len())
	m.follow(ctx, watch)
	return nil
}

// NeedLeaderElection says that this runs wherever the service runs.
func (m *Manifests) NeedLeaderElection() bool { return false }

// follow reads the folder again after events, and once in a while without.
func (m *Manifests) follow(ctx context.Context, watch *folderWatch) {
	timer := time.NewTimer(m.wait())
	defer timer.Stop()
	var first time.Time // of the events since the folder was read
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-watch.events:
			if !relevant(e.Name) {
				continue
			}
			if first.IsZero() {
				first = m.now()
			}
			timer.Reset(min(settle, max(0, maxSettle-m.now().Sub(first))))
		case err := <-watch.errors:
			m.log.Warn("events of the manifests were lost; the folder is read again", "error", err)
			timer.Reset(settle)
		case <-timer.C:
			first = time.Time{}
			m.rescan(watch) //nolint:contextcheck // the rules of the schema have a budget
			timer.Reset(m.wait())
		}
	}
}

// rescan reads what has changed. While the folder is away, everything stays: it is about to be put back, or a disk is missing.
func (m *Manifests) rescan(watch *folderWatch) {
	watch.renew(m.folder.Dir)
	changed, err := m.folder.Scan(m.now())
	if missing := err != nil; missing != m.missing {
		m.missing = missing
		if missing {
			m.log.Error("the folder of the manifests cannot be read; everything stays as it was", "error", err)
		} else {
			m.log.Info("the folder of the manifests can be read again", "folder", m.folder.Dir)
		}
	}
	if err != nil {
		return
	}
	m.directory.Touch(m.now())
	if changed || m.unfinished {
		m.sync(m.now())
	}
}

// wait returns how long the folder may be left alone.
func (m *Manifests) wait() time.Duration {
	wait := pollEvery
	if m.folder.Unsettled() {
		wait = manifest.ClockGrain
	}
	for _, h := range m.current {
		if !h.missing.IsZero() {
			wait = min(wait, max(0, removalGrace-m.now().Sub(m.quietSince(h))))
		}
	}
	return wait
}

// relevant says whether an event of a file may change what the manifests are. Names with two dots are how a mounted ConfigMap or
// Secret is swapped for its next version.
func relevant(path string) bool {
	name := filepath.Base(path)
	return manifest.IsManifest(name) || strings.HasPrefix(name, "..")
}
