// Package standalone serves Users from a folder of manifests, without a cluster. It fills the
// directory from the folder, and keeps records, keys and the CA in a state folder.
package standalone

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// Config configures Manifests. All fields but Loaded are required.
type Config struct {
	Dir       string // the folder of manifests
	Store     *statedir.Store
	Records   *Records
	Directory *directory.Directory
	Keyer     *password.Keyer          // of plaintext passwords
	Trusts    func(issuer string) bool // reports whether tokens of an issuer log in
	Log       *slog.Logger
	Now       func() time.Time
	Loaded    func() // called once, when the folder has been read; may be nil
	// HashMemory is how many bytes password hashes may take; 0: any number.
	HashMemory int64
}

// Manifests fill the directory from a folder with the same YAML that kubectl applies: *.yaml, *.yml
// and *.json, each with any number of Users and Secrets. Hidden files and subfolders are left out.
// What an API server would refuse is logged with file and line, and the last good version of that
// object stays in force. Edits to the folder take effect within seconds. Create Manifests with New
// and start them with Start.
type Manifests struct {
	store     *statedir.Store
	records   *Records
	directory *directory.Directory
	projector *projection.Projector
	trusts    func(issuer string) bool
	log       *slog.Logger
	now       func() time.Time
	loaded    func()

	folder  *manifest.Folder
	reports reports
	missing bool // the last attempt to read the folder failed

	current   map[manifest.Key]*active
	projected map[manifest.Key]*projected
	undropped map[string]bool // directory keys whose identities are gone but could not be dropped yet

	changes  changes      // of the last sync
	rejected atomic.Int64 // objects that the last sync rejected
	states   map[manifest.Key]string

	unfinished bool // something waits for its time, or for the state folder
}

// active is an object in force. It is immutable.
type active struct {
	manifest.Object
	file    string
	missing time.Time // when it was first in no file; zero while a file has it
}

// place returns the file and line of the object: users.yaml:12.
func (o *active) place() string { return fmt.Sprintf("%s:%d", o.file, o.Line) }

// projected is a User in the directory, with what it was made of.
type projected struct {
	source     *authv1alpha1.User
	secrets    map[string]*corev1.Secret // every Secret that was looked up by name; nil if missing
	projection projection.Projection
	user       *authv1alpha1.User // source with its identity
}

// New returns Manifests that have read nothing yet.
func New(cfg Config) (*Manifests, error) {
	if samePath(cfg.Dir, cfg.Store.Dir()) {
		return nil, fmt.Errorf("%s cannot be both the folder of manifests and the state folder: choose another state folder with --state-dir", cfg.Dir)
	}
	folder, err := manifest.NewFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	projector, err := newProjector(cfg.Keyer, cfg.Store.Dir())
	if err != nil {
		return nil, err
	}
	projector.HashMemory = cfg.HashMemory
	return &Manifests{
		store: cfg.Store, records: cfg.Records, directory: cfg.Directory, projector: projector, trusts: cfg.Trusts, log: cfg.Log, now: cfg.Now,
		loaded: cfg.Loaded,
		folder: folder, reports: reports{log: cfg.Log},
		projected: map[manifest.Key]*projected{}, undropped: map[string]bool{}, states: map[manifest.Key]string{},
	}, nil
}

// newProjector returns a Projector with a key from the state folder, which it creates if need be.
// Revisions of credentials thus stay the same across restarts, and a lock is known to be about the
// same passwords.
func newProjector(keyer *password.Keyer, stateDir string) (*projection.Projector, error) {
	const entry = "key"
	entries, err := statedir.UpdateEntries(stateDir, "revisions", func(entries map[string][]byte) (map[string][]byte, error) {
		if len(entries[entry]) == 0 {
			entries[entry] = make([]byte, sha256.Size)
			_, _ = rand.Read(entries[entry]) // documented never to fail
		}
		return entries, nil
	})
	if err != nil {
		return nil, err
	}
	return projection.NewProjector(keyer, entries[entry]), nil
}

// NeedLeaderElection reports that Manifests run on every replica.
func (m *Manifests) NeedLeaderElection() bool { return false }

// reportObject reports a problem with an object.
func (m *Manifests) reportObject(o *active, problem string) {
	m.reports.add(o.place(), o.Key.String(), problem)
}

// sortedUsers returns the Users among objects in the order of their files and lines.
func sortedUsers(objects map[manifest.Key]*active) []*active {
	var users []*active
	for _, o := range objects {
		if o.User != nil {
			users = append(users, o)
		}
	}
	slices.SortFunc(users, func(a, b *active) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	return users
}

// samePath reports whether two paths are the same once they are absolute.
func samePath(a, b string) bool {
	absoluteA, errA := filepath.Abs(a)
	absoluteB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absoluteA == absoluteB
}
