package statedir

import (
	"encoding/json"
	"maps"
	"slices"
)

// rows is everything that the database stores, in memory.
type rows struct {
	identities table[Identity]
	standings  table[Standing]
	tokens     table[Token]
	byUser     map[string]map[string]struct{} // user UID -> token ids
}

// table is the rows of one bucket by key.
type table[T any] struct {
	bucket string
	rows   map[string]T
}

// The buckets of the database that have rows.
const (
	identitiesBucket = "identities"
	standingsBucket  = "standings"
	tokensBucket     = "tokens"
)

func bucketNames() []string { return []string{identitiesBucket, standingsBucket, tokensBucket} }

func newRows() rows {
	return rows{
		identities: table[Identity]{identitiesBucket, map[string]Identity{}},
		standings:  table[Standing]{standingsBucket, map[string]Standing{}},
		tokens:     table[Token]{tokensBucket, map[string]Token{}},
		byUser:     map[string]map[string]struct{}{},
	}
}

// add adds a row that was read from the database.
func (r *rows) add(bucket, key string, value []byte) error {
	switch bucket {
	case r.identities.bucket:
		return r.identities.add(key, value)
	case r.standings.bucket:
		return r.standings.add(key, value)
	}
	if err := r.tokens.add(key, value); err != nil {
		return err
	}
	token := r.tokens.rows[key]
	r.link(key, token.UserUID)
	return nil
}

func (t *table[T]) add(key string, value []byte) error {
	var row T
	if err := json.Unmarshal(value, &row); err != nil {
		return damaged("row %s of bucket %s: %v", key, t.bucket, err)
	}
	t.rows[key] = row
	return nil
}

// all returns every row as a change that makes it, in the order of buckets and keys.
func (r *rows) all() ([]change, error) {
	return encodeAll(r.identities.all(), r.standings.all(), r.tokens.all())
}

// all returns a view in which every row is changed to what it is.
func (t *table[T]) all() view[T] {
	v := t.begin()
	for key, row := range t.rows {
		v.put(key, row)
	}
	return v
}

// reindex keeps byUser true to a change of a token that is about to be applied; a nil next means that
// the token is gone.
func (r *rows) reindex(id string, next *Token) {
	if old, ok := r.tokens.rows[id]; ok {
		delete(r.byUser[old.UserUID], id)
		if len(r.byUser[old.UserUID]) == 0 {
			delete(r.byUser, old.UserUID)
		}
	}
	if next != nil {
		r.link(id, next.UserUID)
	}
}

func (r *rows) link(id, uid string) {
	if r.byUser[uid] == nil {
		r.byUser[uid] = map[string]struct{}{}
	}
	r.byUser[uid][id] = struct{}{}
}

// tokensOf returns the token records of a user, in the order of their ids.
func (t *tx) tokensOf(uid string) []Token {
	ids := maps.Clone(t.rows.byUser[uid])
	if ids == nil {
		ids = map[string]struct{}{}
	}
	for id := range t.tokens.changed {
		ids[id] = struct{}{}
	}
	var tokens []Token
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if token, ok := t.tokens.get(id); ok && token.UserUID == uid {
			tokens = append(tokens, token)
		}
	}
	return tokens
}
