// Package state keeps what a service that stands alone must not forget: who its users are, which tokens are revoked or
// labelled, its keys and its CA. It lives in one folder of one process.
//
// Users and tokens are rows of a journal (journal.go): an answered change is on the disk before the answer, and changes that
// are asked for at the same time share one write. Keys and certificates are small files that are replaced whole
// (entries.go); another process may change those while the service runs.
//
// The package is a leaf: it knows no directory, no Kubernetes and no HTTP.
package statedir

import (
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrClosed is the error of a change after Close.
var ErrClosed = errors.New("the state folder is closed")

// Identity is who a user is. It is dropped when the user goes, so that a user made anew is another one.
type Identity struct {
	Key       string    `json:"key"` // namespace/name
	UID       string    `json:"uid"`
	FirstSeen time.Time `json:"firstSeen"`
	// Given says that the manifest names the UID, so that the same user may come back.
	Given bool `json:"given,omitempty"`
}

// Standing is what has been learned about a user, by UID.
type Standing struct {
	TokensRevokedAt   time.Time `json:"tokensRevokedAt,omitzero"`
	FailedLogins      int       `json:"failedLogins,omitempty"`
	LockedUntil       time.Time `json:"lockedUntil,omitzero"`
	LastTokenIssuedAt time.Time `json:"lastTokenIssuedAt,omitzero"`
	// Credentials stands for the passwords that FailedLogins and LockedUntil are about.
	Credentials string `json:"credentials,omitempty"`
}

// Token is the record of one token that is labelled or revoked.
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
	Revoked     bool      `json:"revoked,omitempty"`
}

// Store is an open state folder. Create it with Open. All methods are safe for concurrent use; those that change something
// return when the change is on the disk, or with an error and then nothing is changed.
type Store struct {
	dir  string
	lock *os.File
	log  *slog.Logger

	disk    sync.Mutex // held while the journal is written; orders all changes
	journal *journal
	closed  bool

	queue sync.Mutex
	next  *batch // changes that wait for the disk

	mu   sync.RWMutex // held for moments only; writers hold disk too
	rows rows
}

// Open opens a state folder, makes it when it is not there, and locks it: it fails when another process has it open. What is
// in the folder can be read by nobody else. A journal that ends in the middle of a change, because the process was killed
// while it wrote, loses that change and no more, since nobody was told that it was made. One that is damaged elsewhere is an
// error.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: lock, log: log, next: &batch{}, rows: newRows()}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// load reads the journal and writes it anew without what has been overtaken. A full disk does not keep a service from starting
// that has its state: it verifies tokens, and each change tries to write the journal again.
func (s *Store) load() error {
	s.journal = &journal{path: filepath.Join(s.dir, "journal")}
	torn, err := s.journal.read(s.rows.replay)
	if err != nil {
		return err
	}
	if torn > 0 {
		s.log.Warn("the journal ends in the middle of a change that was never answered; it is left out", "file", s.journal.path, "bytes", torn)
	}
	if err := s.journal.rewrite(s.rows.all()); err != nil && s.rows.empty() {
		return err
	} else if err != nil {
		s.log.Error("the state folder cannot be written: nothing can be revoked until it can", "error", err)
	}
	return nil
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
	return errors.Join(s.journal.close(), s.lock.Close())
}

// Identity returns the identity of the user with this namespace/name, if one was drawn.
func (s *Store) Identity(key string) (Identity, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, ok := s.rows.identities.rows[key]
	return id, ok
}

// Identities returns all identities by namespace/name.
func (s *Store) Identities() map[string]Identity {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.rows.identities.rows)
}

// Standing returns what is known of the user with this UID; the zero Standing if nothing is.
func (s *Store) Standing(uid string) Standing {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rows.standings.rows[uid]
}

// Tokens returns all token records by token id.
func (s *Store) Tokens() map[string]Token {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.rows.tokens.rows)
}

// TokensOf returns the token records of a user by token id.
func (s *Store) TokensOf(uid string) map[string]Token {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tokens := make(map[string]Token, len(s.rows.byUser[uid]))
	for id := range s.rows.byUser[uid] {
		tokens[id] = s.rows.tokens.rows[id]
	}
	return tokens
}

// Identify drops the identities of users that are gone, and then keeps new ones. What is known of a user goes with a UID that
// was drawn here, since that never comes back; it stays under a UID that was given, or that another user gets now.
func (s *Store) Identify(add []Identity, gone []string) error {
	passedOn := map[string]bool{}
	for _, id := range add {
		passedOn[id.UID] = true
	}
	return s.update(func(tx *tx) {
		for _, key := range gone {
			id, ok := tx.identities.get(key)
			if !ok {
				continue
			}
			tx.identities.drop(key)
			if id.Given || passedOn[id.UID] {
				continue
			}
			tx.standings.drop(id.UID)
			for _, t := range tx.tokensOf(id.UID) {
				tx.tokens.drop(t.ID)
			}
		}
		for _, id := range add {
			tx.identities.put(id.Key, id)
		}
	})
}

// UpdateStanding keeps what next makes of a user's standing. next may be called on another goroutine and must be quick. A
// revocation never moves back, whatever next says.
func (s *Store) UpdateStanding(uid string, next func(Standing) Standing) error {
	return s.update(func(tx *tx) {
		old, _ := tx.standings.get(uid)
		standing := next(old)
		if standing.TokensRevokedAt.Before(old.TokensRevokedAt) {
			standing.TokensRevokedAt = old.TokensRevokedAt
		}
		if standing != old {
			tx.standings.put(uid, standing)
		}
	})
}

// CreateLabelled keeps the record of a token with a label, unless the same user has one with this label that keep calls good:
// that one is returned then, and nothing changes. keep may be called on another goroutine and must be quick.
func (s *Store) CreateLabelled(t Token, keep func(Token) bool) (Token, error) {
	kept := t
	err := s.update(func(tx *tx) {
		for _, known := range tx.tokensOf(t.UserUID) {
			if known.Label == t.Label && keep(known) {
				kept = known
				return
			}
		}
		tx.tokens.put(t.ID, t)
	})
	if err != nil {
		return Token{}, err
	}
	return kept, nil
}

// Revoke keeps that a token is revoked and returns its record: the one there is, or else t.
func (s *Store) Revoke(t Token) (Token, error) {
	err := s.update(func(tx *tx) {
		known, ok := tx.tokens.get(t.ID)
		if ok {
			t = known
		}
		t.Revoked = true
		if t != known {
			tx.tokens.put(t.ID, t)
		}
	})
	return t, err
}

// DropExpired removes the records of tokens that have ended, and returns them.
func (s *Store) DropExpired(now time.Time) ([]Token, error) {
	var ended []Token
	for _, t := range s.Tokens() {
		if !now.Before(t.ExpiresAt) {
			ended = append(ended, t)
		}
	}
	if len(ended) == 0 {
		return nil, nil
	}
	return ended, s.update(func(tx *tx) {
		for _, t := range ended {
			tx.tokens.drop(t.ID)
		}
	})
}
