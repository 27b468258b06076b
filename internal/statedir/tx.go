package statedir

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// tx is a set of changes that no reader sees until they are applied.
type tx struct {
	rows       *rows
	identities view[Identity]
	standings  view[Standing]
	tokens     view[Token]
}

// change is one row as the database stores it.
type change struct {
	bucket string
	key    string
	value  []byte // JSON; nil: the row is gone
}

func (r *rows) begin() *tx {
	return &tx{rows: r, identities: r.identities.begin(), standings: r.standings.begin(), tokens: r.tokens.begin()}
}

// changes returns what the database is to store of the set.
func (t *tx) changes() ([]change, error) {
	return encodeAll(t.identities, t.standings, t.tokens)
}

// apply makes the changes. The caller keeps readers out.
func (t *tx) apply() {
	for id, token := range t.tokens.changed {
		t.rows.reindex(id, token)
	}
	t.identities.apply()
	t.standings.apply()
	t.tokens.apply()
}

// view is a table with changes on top of it.
type view[T any] struct {
	table   *table[T]
	changed map[string]*T // nil: gone
}

func (t *table[T]) begin() view[T] { return view[T]{t, map[string]*T{}} }

func (v view[T]) get(key string) (T, bool) {
	if row, ok := v.changed[key]; ok {
		if row == nil {
			var zero T
			return zero, false
		}
		return *row, true
	}
	row, ok := v.table.rows[key]
	return row, ok
}

func (v view[T]) put(key string, row T) { v.changed[key] = &row }

// drop removes a row, if there is one.
func (v view[T]) drop(key string) {
	if _, ok := v.get(key); ok {
		v.changed[key] = nil
	}
}

func (v view[T]) apply() {
	for key, row := range v.changed {
		if row == nil {
			delete(v.table.rows, key)
		} else {
			v.table.rows[key] = *row
		}
	}
}

func encodeAll(identities view[Identity], standings view[Standing], tokens view[Token]) ([]change, error) {
	var out []change
	for _, encode := range []func([]change) ([]change, error){identities.encode, standings.encode, tokens.encode} {
		var err error
		if out, err = encode(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// encode appends the changes of a view in the order of their keys. bbolt inserts a key into a sorted
// slice, so 100,000 keys in any other order would take it minutes.
func (v view[T]) encode(out []change) ([]change, error) {
	for _, key := range slices.Sorted(maps.Keys(v.changed)) {
		c := change{bucket: v.table.bucket, key: key}
		if row := v.changed[key]; row != nil {
			value, err := json.Marshal(*row)
			if err != nil {
				return nil, fmt.Errorf("encode row %s of bucket %s: %w", key, v.table.bucket, err)
			}
			c.value = value
		}
		out = append(out, c)
	}
	return out, nil
}

// dropIdentity drops the identity of a user, and with it what is known under its UID unless that may
// come back: it was given, or another user takes it over.
func (t *tx) dropIdentity(key string, takenOver map[string]bool) {
	id, ok := t.identities.get(key)
	if !ok {
		return
	}
	t.identities.drop(key)
	if id.Given || takenOver[id.UID] {
		return
	}
	t.standings.drop(id.UID)
	for _, token := range t.tokensOf(id.UID) {
		t.tokens.drop(token.ID)
	}
}
