package statedir

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// change is one row as the journal keeps it.
type change struct {
	Table string          `json:"table"`
	Key   string          `json:"key"`
	Row   json.RawMessage `json:"row,omitempty"` // absent: the row is gone
}

// table is the rows of one kind by key.
type table[T any] struct {
	name string
	rows map[string]T
}

// rows is everything that the journal keeps.
type rows struct {
	identities table[Identity]
	standings  table[Standing]
	tokens     table[Token]
	byUser     map[string]map[string]struct{} // user UID -> token ids
}

func newRows() rows {
	return rows{
		identities: table[Identity]{"identity", map[string]Identity{}},
		standings:  table[Standing]{"standing", map[string]Standing{}},
		tokens:     table[Token]{"token", map[string]Token{}},
		byUser:     map[string]map[string]struct{}{},
	}
}

func (r *rows) empty() bool {
	return len(r.identities.rows)+len(r.standings.rows)+len(r.tokens.rows) == 0
}

// replay makes changes that were read from the journal.
func (r *rows) replay(changes []change) error {
	t := r.begin()
	for _, c := range changes {
		var err error
		switch c.Table {
		case r.identities.name:
			err = t.identities.replay(c)
		case r.standings.name:
			err = t.standings.replay(c)
		case r.tokens.name:
			err = t.tokens.replay(c)
		default:
			err = fmt.Errorf("no table %q: it was written by another version", c.Table)
		}
		if err != nil {
			return err
		}
	}
	t.apply()
	return nil
}

// all yields every row as a change that makes it.
func (r *rows) all() iter.Seq2[change, error] {
	return func(yield func(change, error) bool) {
		_ = r.identities.all(yield) && r.standings.all(yield) && r.tokens.all(yield)
	}
}

func (t *table[T]) all(yield func(change, error) bool) bool {
	for key, row := range t.rows {
		raw, err := json.Marshal(row)
		if !yield(change{Table: t.name, Key: key, Row: raw}, err) {
			return false
		}
	}
	return true
}

// tx is a set of changes that nobody else sees until they are applied.
type tx struct {
	rows       *rows
	identities view[Identity]
	standings  view[Standing]
	tokens     view[Token]
}

func (r *rows) begin() *tx {
	return &tx{rows: r, identities: r.identities.begin(), standings: r.standings.begin(), tokens: r.tokens.begin()}
}

// tokensOf returns the token records of a user, by token id.
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

// changes returns what the journal is to keep of the set.
func (t *tx) changes() ([]change, error) {
	var out []change
	for _, encode := range []func([]change) ([]change, error){t.identities.encode, t.standings.encode, t.tokens.encode} {
		var err error
		if out, err = encode(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// apply makes the changes. Readers must be kept out.
func (t *tx) apply() {
	for id, token := range t.tokens.changed {
		t.rows.index(id, token)
	}
	t.identities.apply()
	t.standings.apply()
	t.tokens.apply()
}

// index keeps byUser true to a change of a token that is about to be applied; nil says that the token is gone.
func (r *rows) index(id string, next *Token) {
	if old, ok := r.tokens.rows[id]; ok {
		delete(r.byUser[old.UserUID], id)
		if len(r.byUser[old.UserUID]) == 0 {
			delete(r.byUser, old.UserUID)
		}
	}
	if next == nil {
		return
	}
	if r.byUser[next.UserUID] == nil {
		r.byUser[next.UserUID] = map[string]struct{}{}
	}
	r.byUser[next.UserUID][id] = struct{}{}
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

// drop takes a row away, if there is one.
func (v view[T]) drop(key string) {
	if _, ok := v.get(key); ok {
		v.changed[key] = nil
	}
}

func (v view[T]) replay(c change) error {
	if c.Row == nil {
		v.changed[c.Key] = nil
		return nil
	}
	var row T
	if err := json.Unmarshal(c.Row, &row); err != nil {
		return fmt.Errorf("row %s of table %s: %w", c.Key, c.Table, err)
	}
	v.put(c.Key, row)
	return nil
}

func (v view[T]) encode(out []change) ([]change, error) {
	for key, row := range v.changed {
		c := change{Table: v.table.name, Key: key}
		if row != nil {
			raw, err := json.Marshal(*row)
			if err != nil {
				return nil, fmt.Errorf("encode row %s of table %s: %w", key, v.table.name, err)
			}
			c.Row = raw
		}
		out = append(out, c)
	}
	return out, nil
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
