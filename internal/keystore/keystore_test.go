package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/keystore"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// memory keeps entries in memory. With an error in fail it stores nothing; while overtaken is above
// 0 it loses to another writer, once for each.
type memory struct {
	entries   map[string][]byte
	fail      error
	overtaken int
}

func (m *memory) Read(context.Context) (map[string][]byte, error) { return maps.Clone(m.entries), nil }

func (m *memory) Update(_ context.Context, next func(map[string][]byte) (map[string][]byte, error)) (map[string][]byte, error) {
	entries, err := next(maps.Clone(m.entries))
	if err = errors.Join(err, m.fail); err != nil {
		return nil, err
	}
	if m.overtaken > 0 {
		m.overtaken--
		return maps.Clone(m.entries), nil
	}
	m.entries = entries
	return maps.Clone(entries), nil
}

// newKeys returns the keeper of keys in m, and the problems that it reports.
func newKeys(m *memory) (keys *keystore.Keys, reported *[]error) {
	reported = &[]error{}
	return &keystore.Keys{
		Entries: m, Set: &token.KeySet{}, Now: func() time.Time { return start },
		Policy: token.Policy{Algorithm: token.EdDSA, Interval: 720 * time.Hour},
		Report: func(_ context.Context, problem error) { *reported = append(*reported, problem) },
	}, reported
}

func TestKeys(t *testing.T) {
	t.Parallel()
	t.Run("are stored before they are in force", func(t *testing.T) {
		t.Parallel()
		full := errors.New("disk full")
		m := &memory{fail: full}
		keys, reported := newKeys(m)
		if err := keys.Sync(t.Context()); !errors.Is(err, full) || !errors.Is(keys.Ready(), full) || keys.Set.Ready(start) {
			t.Errorf("Sync returns %v, Ready %v", err, keys.Ready())
		}
		m.fail = nil
		if err := keys.Sync(t.Context()); err != nil || keys.Ready() != nil || len(m.entries) == 0 {
			t.Errorf("Sync returns %v, Ready %v, and %d entries are stored", err, keys.Ready(), len(m.entries))
		}
		if len(*reported) != 2 || (*reported)[1] != nil {
			t.Errorf("reported %v, want the problem and then its end", *reported)
		}
	})
	t.Run("of a faster replica are the ones in force", func(t *testing.T) {
		t.Parallel()
		first, _ := newKeys(&memory{})
		if err := first.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := &memory{overtaken: 1}
		keys, _ := newKeys(m)
		if err := keys.Sync(t.Context()); err != nil || keys.Set.Ready(start) {
			t.Fatalf("Sync returns %v, and keys that were not stored are in force: %v", err, keys.Set.Ready(start))
		}
		m.entries, _ = first.Entries.Read(t.Context())
		if err := keys.Sync(t.Context()); err != nil || !keys.Set.Keys().Equal(first.Set.Keys()) {
			t.Errorf("Sync returns %v, and the keys differ from the stored ones", err)
		}
	})
	t.Run("stay in force while the stored ones cannot be read", func(t *testing.T) {
		t.Parallel()
		m := &memory{}
		keys, reported := newKeys(m)
		if err := keys.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := keys.Set.Keys()
		m.entries, m.fail = map[string][]byte{"sign-x": []byte("{")}, errors.New("read-only")
		for range 3 {
			_ = keys.Sync(t.Context())
		}
		if !keys.Set.Keys().Equal(before) || len(*reported) != 1 {
			t.Errorf("want the same keys and one report, got %v", *reported)
		}
	})
}

func TestDecoySecret(t *testing.T) {
	t.Parallel()
	m, now := &memory{}, start
	var used [][]byte
	newReplica := func() *keystore.Keys {
		keys, _ := newKeys(m)
		keys.Now = func() time.Time { return now }
		keys.UseDecoySecret = func(secret []byte) { used = append(used, bytes.Clone(secret)) }
		return keys
	}
	sync := func(keys *keystore.Keys) []byte {
		t.Helper()
		if err := keys.Sync(t.Context()); err != nil || len(used) == 0 {
			t.Fatalf("Sync returns %v, and %d secrets are in use", err, len(used))
		}
		return used[len(used)-1]
	}
	keys := newReplica()
	first := sync(keys)
	for range 30 { // rotations
		now = now.Add(720 * time.Hour)
		m.entries[token.RotationRequest] = nil
		if !bytes.Equal(sync(keys), first) {
			t.Fatal("a rotation of the keys has changed the secret")
		}
	}
	if !bytes.Equal(sync(newReplica()), first) {
		t.Error("another replica, or the next process, has another secret")
	}
	m.entries[token.DecoySecret] = []byte("short")
	if sync(keys); len(m.entries[token.DecoySecret]) != 32 {
		t.Error("a secret that could be guessed stays")
	}
}

func TestDecoysWorkWhileNoSecretCanBeStored(t *testing.T) {
	t.Parallel()
	m, uses := &memory{}, 0
	keys, _ := newKeys(m)
	if err := keys.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	delete(m.entries, token.DecoySecret)
	m.fail = errors.New("read-only")
	keys.UseDecoySecret = func([]byte) { uses++ }
	for range 3 {
		_ = keys.Sync(t.Context())
	}
	if uses != 1 {
		t.Errorf("%d secrets of this process were in use, want one that stays", uses)
	}
}

func TestRequestRotation(t *testing.T) {
	t.Parallel()
	if err := keystore.RequestRotation(t.Context(), &memory{}); !errors.Is(err, keystore.ErrNoKeys) {
		t.Errorf("without keys: %v, want ErrNoKeys", err)
	}
	for name, c := range map[string]struct {
		overtaken int
		fails     bool
	}{"at once": {0, false}, "after other writers": {4, false}, "never": {5, true}} {
		m := &memory{overtaken: c.overtaken, entries: map[string][]byte{"sign-x": nil}}
		err := keystore.RequestRotation(t.Context(), m)
		if _, requested := m.entries[token.RotationRequest]; requested == c.fails || (err != nil) != c.fails {
			t.Errorf("%s: error %v, requested %v", name, err, requested)
		}
	}
}

func TestCA(t *testing.T) {
	t.Parallel()
	m := &memory{entries: map[string][]byte{}}
	clock := func() time.Time { return start }
	var published [][]byte
	var reported []error
	ca := &keystore.CA{
		Entries: m, Source: authority.NewSource([]string{"localhost"}, clock), Now: clock,
		Publish: func(_ context.Context, bundle []byte) error { published = append(published, bundle); return nil },
		Report:  func(_ context.Context, problem error) { reported = append(reported, problem) },
	}
	if err := ca.Sync(t.Context()); err != nil || len(published) != 1 || len(reported) != 0 {
		t.Fatalf("Sync returns %v after %d publications and reports %v", err, len(published), reported)
	}
	before, err := ca.Source.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	m.entries[authority.CertificateEntry] = []byte("garbage")
	stored := maps.Clone(m.entries)
	for range 2 {
		if err := ca.Sync(t.Context()); !errors.Is(err, keystore.ErrUnreadableCA) {
			t.Errorf("an unreadable CA: %v, want ErrUnreadableCA", err)
		}
	}
	after, err := ca.Source.GetCertificate(nil)
	if err != nil || after != before || len(reported) != 1 || len(m.entries) != len(stored) || string(m.entries[authority.CertificateEntry]) != "garbage" {
		t.Errorf("want the same certificate, one report and untouched entries; got error %v, reports %v", err, reported)
	}
}
