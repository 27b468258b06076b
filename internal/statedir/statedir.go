// Package statedir keeps what a standalone service must not forget: who its users are, which tokens
// are revoked or labelled, its keys and its CA. All of it lives in one folder, which one process has
// open at a time.
//
// Users and tokens are rows of a bbolt database (database.go). The database is on the disk before a
// change is answered, and changes that are asked for at the same time share one write (groups.go).
// All rows are in memory as well (rows.go), so reads take no disk and no transaction. At the start
// every page of the file is checked (pages.go): a damaged database is an error and never a smaller
// one.
//
// Keys and certificates are small files that are replaced whole (entries.go). Another process may
// change them while the service runs.
//
// The package is a leaf: it imports no directory, no Kubernetes and no HTTP.
package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrClosed is the error of a change after Close.
var ErrClosed = errors.New("the state folder is closed")

// Identity is who a user is. It is dropped when the user goes, so that a user who is created again
// under the same name is another one.
type Identity struct {
	Key       string    `json:"key"` // namespace/name
	UID       string    `json:"uid"`
	FirstSeen time.Time `json:"firstSeen"`
	// Given reports whether the manifest names the UID, so that the same user may come back.
	Given bool `json:"given,omitempty"`
}

// Standing is what the service has learned about a user, by UID.
type Standing struct {
	TokensRevokedAt   time.Time `json:"tokensRevokedAt,omitzero"`
	FailedLogins      int       `json:"failedLogins,omitempty"`
	LockedUntil       time.Time `json:"lockedUntil,omitzero"`
	LastTokenIssuedAt time.Time `json:"lastTokenIssuedAt,omitzero"`
	// Credentials identifies the passwords that FailedLogins and LockedUntil are about.
	Credentials string `json:"credentials,omitempty"`
}

// Token is the record of one token: a labelled one, one that lives long, or a revoked one.
type Token struct {
	ID          string    `json:"id"`
	UserKey     string    `json:"userKey"`
	UserUID     string    `json:"userUID"`
	Kind        string    `json:"kind"`
	Label       string    `json:"label,omitempty"`
	Description string    `json:"description,omitempty"`
	Client      string    `json:"client,omitempty"`
	IssuedAt    time.Time `json:"issuedAt"`
	ExpiresAt   time.Time `json:"expiresAt"`
	AuthTime    time.Time `json:"authTime,omitzero"`
	Final       bool      `json:"final,omitempty"`
	Revoked     bool      `json:"revoked,omitempty"`
}

// Store is an open state folder. Create it with Open. All methods are safe for concurrent use. Those
// that change something return once the change is on the disk, or return an error and change nothing.
type Store struct {
	dir  string
	lock *os.File
	log  *slog.Logger

	disk     sync.Mutex // held while the database is written; orders all changes
	database *database
	closed   bool

	queue sync.Mutex
	next  *group // changes that wait for the disk

	mu   sync.RWMutex // held only for lookups and for applying a group; writers hold disk too
	rows rows
}

// Open opens a state folder, creates it if it does not exist, and locks it. It fails if another
// process has it open. Only the owner can read what is in the folder.
//
// A process that was killed while it wrote loses the changes it had not answered and nothing else. A
// database that is damaged, or that is missing beside files that belong to it, is an error: without
// its rows, revoked tokens would be good again.
//
// A full disk does not keep a service from starting that has its database, since opening writes
// nothing: the service verifies tokens, and each change tries the disk again. A folder on a read-only
// filesystem cannot be opened, because it cannot be locked.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: lock, log: log, next: &group{}, rows: newRows()}
	s.database = &database{path: filepath.Join(dir, databaseName)}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// load reads the database, or creates it in a folder that has never had one.
func (s *Store) load() error {
	_, err := os.Stat(s.database.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := mayCreateDatabase(s.dir); err != nil {
			return err
		}
		return s.database.replace(nil)
	}
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return s.database.load(&s.rows)
}

// Dir returns the folder.
func (s *Store) Dir() string { return s.dir }

// Close waits for changes under way and unlocks the folder.
func (s *Store) Close() error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.database.close(), s.lock.Close())
}
