package statedir

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// Identity returns the identity of the user with this namespace/name, and reports whether the user
// has one.
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

// Identify drops the identities of users that are gone, and then saves new ones. What is known of a
// user goes with a UID that was generated here, since that UID never comes back. It stays under a UID
// that the manifest gives, or that another user takes over now.
func (s *Store) Identify(add []Identity, gone []string) error {
	takenOver := map[string]bool{}
	for _, id := range add {
		if err := checkKey("user", id.Key); err != nil {
			return err
		}
		takenOver[id.UID] = true
	}
	return s.update(func(tx *tx) {
		for _, key := range gone {
			tx.dropIdentity(key, takenOver)
		}
		for _, id := range add {
			tx.identities.put(id.Key, id)
		}
	})
}

// UpdateStanding saves what next makes of a user's standing. next may be called on another goroutine
// and must be quick. A revocation never moves back, whatever next returns.
func (s *Store) UpdateStanding(uid string, next func(Standing) Standing) error {
	if err := checkKey("UID", uid); err != nil {
		return err
	}
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

// ErrFull means that a user has as many token records as the caller allows.
var ErrFull = errors.New("the user has too many token records")

// CreateToken saves the record of a token. If the token has a label and the same user has a record
// with this label for which keep returns true, CreateToken returns that one and changes nothing. It
// returns ErrFull if the user has limit records. keep may be called on another goroutine and must be
// quick.
func (s *Store) CreateToken(t Token, limit int, keep func(Token) bool) (Token, error) {
	if err := checkKey("token", t.ID); err != nil {
		return Token{}, err
	}
	kept, full := t, false
	err := s.update(func(tx *tx) {
		all := tx.tokensOf(t.UserUID)
		for _, known := range all {
			if t.Label != "" && known.Label == t.Label && keep(known) {
				kept = known
				return
			}
		}
		if full = len(all) >= limit; !full {
			tx.tokens.put(t.ID, t)
		}
	})
	switch {
	case err != nil:
		return Token{}, err
	case full:
		return Token{}, ErrFull
	}
	return kept, nil
}

// Revoke saves that a token is revoked, in its record or in a new one that is t, and returns the
// record. It keeps no label, description or client, and ends no earlier than t. Revoke returns
// ErrFull if it would need a new record and the user has limit records.
func (s *Store) Revoke(t Token, limit int) (Token, error) {
	if err := checkKey("token", t.ID); err != nil {
		return t, err
	}
	full := false
	err := s.update(func(tx *tx) {
		known, ok := tx.tokens.get(t.ID)
		if full = !ok && len(tx.tokensOf(t.UserUID)) >= limit; full {
			return
		}
		if ok && known.ExpiresAt.After(t.ExpiresAt) {
			t.ExpiresAt = known.ExpiresAt
		}
		t.Revoked, t.Label, t.Description, t.Client = true, "", "", ""
		if t != known {
			tx.tokens.put(t.ID, t)
		}
	})
	if err == nil && full {
		err = ErrFull
	}
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

// checkKey refuses a key that the database cannot store, so that it fails the change it belongs to
// and not all changes that share a write with it.
func checkKey(what, key string) error {
	if key == "" || len(key) > maxKeySize {
		return fmt.Errorf("cannot save %s %.50q: its name has %d bytes, want 1 to %d", what, key, len(key), maxKeySize)
	}
	return nil
}
