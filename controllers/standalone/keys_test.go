package standalone_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/keystore"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

var keyTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func stateKeys(dir string, now *time.Time, log *logged) *keystore.Keys {
	policy := token.Policy{
		Algorithm: token.ES256, Interval: 720 * time.Hour,
		Lifetime: map[token.Use]time.Duration{token.Sign: 24 * time.Hour, token.Seal: 24 * time.Hour},
	}
	keys, _ := standalone.NewKeys(dir, slog.New(slog.NewTextHandler(log, nil)), keystore.Keys{
		Set: &token.KeySet{}, Policy: policy, Now: func() time.Time { return *now },
	})
	return keys
}

// mustSync fails where the service could not start with these keys.
func mustSync(t *testing.T, k *keystore.Keys) {
	t.Helper()
	must(t, errors.Join(k.Sync(t.Context()), k.Ready()))
}

func signer(t *testing.T, k *keystore.Keys, now time.Time) string {
	t.Helper()
	key, ok := k.Set.Keys().Current(token.Sign, now)
	if !ok {
		t.Fatal("no key can sign")
	}
	return key.ID
}

func TestKeysSurviveARestart(t *testing.T) {
	dir, now, log := t.TempDir(), keyTime, &logged{}
	first := stateKeys(dir, &now, log)
	mustSync(t, first)
	second := stateKeys(dir, &now, log)
	mustSync(t, second)
	if !first.Set.Keys().Equal(second.Set.Keys()) || !second.Set.Ready(now) {
		t.Error("the keys have changed after a restart")
	}
	if log.String() != "" {
		t.Errorf("the log is\n%s", log)
	}
}

func TestKeysRotateByAgeAndOnRequest(t *testing.T) {
	dir, now, log := t.TempDir(), keyTime, &logged{}
	k := stateKeys(dir, &now, log)
	mustSync(t, k)
	first := signer(t, k, now)

	now = now.Add(time.Hour)
	requestRotation(t, dir)
	mustSync(t, k)
	now = now.Add(time.Hour)
	mustSync(t, k)
	second := signer(t, k, now)
	if second == first {
		t.Error("an hour after a rotation was requested, the old key still signs")
	}
	now = now.Add(time.Hour)
	mustSync(t, k)
	if signer(t, k, now) != second {
		t.Error("one request rotated twice")
	}

	now = now.Add(721 * time.Hour)
	mustSync(t, k)
	now = now.Add(time.Hour)
	mustSync(t, k)
	if signer(t, k, now) == second {
		t.Error("the key did not rotate by age")
	}
	if log.String() != "" {
		t.Errorf("the log is\n%s", log)
	}
}

func TestKeysStayInForceWhileUnreadable(t *testing.T) {
	dir, now, log := t.TempDir(), keyTime, &logged{}
	k := stateKeys(dir, &now, log)
	mustSync(t, k)
	first := signer(t, k, now)
	good, err := os.ReadFile(filepath.Join(dir, "keys.json"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "keys.json"), []byte("{"), 0o600))
	for range 3 {
		_ = k.Sync(t.Context())
	}
	if signer(t, k, now) != first || log.count("level=ERROR") != 1 {
		t.Errorf("want the same key and one logged error; the log is\n%s", log)
	}
	unreadable := stateKeys(dir, &now, log)
	_ = unreadable.Sync(t.Context())
	if err := unreadable.Ready(); err == nil {
		t.Error("want an error at a start without a readable key")
	}
	must(t, os.WriteFile(filepath.Join(dir, "keys.json"), good, 0o600))
	mustSync(t, k)
	if log.count("level=INFO") != 1 {
		t.Errorf("the log is\n%s", log)
	}
}

func TestEntryThatIsNotAKeyIsKept(t *testing.T) {
	dir, now, log := t.TempDir(), keyTime, &logged{}
	mustSync(t, stateKeys(dir, &now, log))
	_, err := statedir.UpdateEntries(dir, statedir.KeysEntries, func(entries map[string][]byte) (map[string][]byte, error) {
		entries["sign-mine"] = []byte("mine")
		return entries, nil
	})
	must(t, err)
	k := stateKeys(dir, &now, log)
	mustSync(t, k)
	now = now.Add(2000 * time.Hour)
	mustSync(t, k)
	entries, err := statedir.ReadEntries(dir, statedir.KeysEntries)
	must(t, err)
	if string(entries["sign-mine"]) != "mine" || log.count("sign-mine") == 0 {
		t.Errorf("the entry is %q; the log is\n%s", entries["sign-mine"], log)
	}
}

func TestCAIsMadeOnceAndPublished(t *testing.T) {
	dir, now := t.TempDir(), keyTime
	load := func() (*keystore.CA, string) {
		t.Helper()
		clock := func() time.Time { return now }
		a, _ := standalone.NewCA(dir, authority.NewSource([]string{"localhost"}, clock), settle(), clock)
		must(t, a.Sync(t.Context()))
		if _, err := a.Source.GetCertificate(nil); err != nil {
			t.Error(err)
		}
		bundle, err := os.ReadFile(filepath.Join(dir, statedir.CertificateFile))
		must(t, err)
		return a, string(bundle)
	}
	_, first := load()
	must(t, os.Remove(filepath.Join(dir, statedir.CertificateFile)))
	a, again := load()
	if first != again {
		t.Error("the CA has changed after a restart")
	}
	must(t, os.WriteFile(filepath.Join(dir, "ca.json"), []byte(`{"ca.crt":""}`), 0o600))
	if err := a.Sync(t.Context()); !errors.Is(err, keystore.ErrUnreadableCA) {
		t.Errorf("got error %v", err)
	}
	if _, err := a.Source.GetCertificate(nil); err != nil {
		t.Error("the previous certificate is gone")
	}
}

// requestRotation does what gatehouse keys rotate does.
func requestRotation(t *testing.T, dir string) {
	t.Helper()
	must(t, keystore.RequestRotation(t.Context(), statedir.EntriesFile{Dir: dir, Name: statedir.KeysEntries}))
}
