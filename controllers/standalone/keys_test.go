package standalone_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

var keyTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func stateKeys(dir string, now *time.Time, log *logged) *standalone.Keys {
	return &standalone.Keys{
		Dir: dir, Keys: &token.KeySet{}, Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return *now },
		Policy: token.Policy{Algorithm: token.ES256, Interval: 720 * time.Hour, Lifetime: map[token.Use]time.Duration{token.Sign: 24 * time.Hour, token.Seal: 24 * time.Hour}},
	}
}

func signer(t *testing.T, k *standalone.Keys, now time.Time) string {
	t.Helper()
	key, ok := k.Keys.Keys().Current(token.Sign, now)
	if !ok {
		t.Fatal("there is no key to sign with")
	}
	return key.ID
}

func TestKeysSurviveARestart(t *testing.T) {
	dir, now, log := t.TempDir(), keyTime, &logged{}
	first := stateKeys(dir, &now, log)
	must(t, first.Look())
	second := stateKeys(dir, &now, log)
	must(t, second.Look())
	if !first.Keys.Keys().Equal(second.Keys.Keys()) || !second.Keys.Ready(now) {
		t.Error("the keys are others after a restart")
	}
	if log.String() != "" {
		t.Errorf("the log says\n%s", log)
	}
}

func TestKeysRotateByAgeAndOnRequest(t *testing.T) {
	dir, now, log := t.TempDir(), keyTime, &logged{}
	k := stateKeys(dir, &now, log)
	must(t, k.Look())
	first := signer(t, k, now)

	now = now.Add(time.Hour)
	requestRotation(t, dir)
	must(t, k.Look())
	now = now.Add(time.Hour)
	must(t, k.Look())
	second := signer(t, k, now)
	if second == first {
		t.Error("an hour after a rotation was asked for, the old key still signs")
	}
	now = now.Add(time.Hour)
	must(t, k.Look())
	if signer(t, k, now) != second {
		t.Error("one request rotated twice")
	}

	now = now.Add(721 * time.Hour)
	must(t, k.Look())
	now = now.Add(time.Hour)
	must(t, k.Look())
	if signer(t, k, now) == second {
		t.Error("the key did not rotate by age")
	}
	if log.String() != "" {
		t.Errorf("the log says\n%s", log)
	}
}

func TestKeysStayInForceWhileTheirFileCannotBeRead(t *testing.T) {
	dir, now, log := t.TempDir(), keyTime, &logged{}
	k := stateKeys(dir, &now, log)
	must(t, k.Look())
	first := signer(t, k, now)
	good, err := os.ReadFile(filepath.Join(dir, "keys.json"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "keys.json"), []byte("{"), 0o600))
	for range 3 {
		_ = k.Look()
	}
	if signer(t, k, now) != first || log.count("level=ERROR") != 1 {
		t.Errorf("want the same key and one complaint; the log says\n%s", log)
	}
	if err := stateKeys(dir, &now, log).Look(); err == nil {
		t.Error("a start without a key that can be read must fail")
	}
	must(t, os.WriteFile(filepath.Join(dir, "keys.json"), good, 0o600))
	must(t, k.Look())
	if log.count("level=INFO") != 1 {
		t.Errorf("the log says\n%s", log)
	}
}

func TestAnEntryThatIsNoKeyIsKeptAndReported(t *testing.T) {
	dir, now, log := t.TempDir(), keyTime, &logged{}
	must(t, stateKeys(dir, &now, log).Look())
	_, err := statedir.UpdateEntries(dir, statedir.KeysEntries, func(entries map[string][]byte) (map[string][]byte, error) {
		entries["sign-mine"] = []byte("mine")
		return entries, nil
	})
	must(t, err)
	k := stateKeys(dir, &now, log)
	must(t, k.Look())
	now = now.Add(2000 * time.Hour)
	must(t, k.Look())
	entries, err := statedir.ReadEntries(dir, statedir.KeysEntries)
	must(t, err)
	if string(entries["sign-mine"]) != "mine" || log.count("sign-mine") == 0 {
		t.Errorf("the entry is %q; the log says\n%s", entries["sign-mine"], log)
	}
}

func TestTheCAIsMadeOnceAndPublished(t *testing.T) {
	dir, now := t.TempDir(), keyTime
	look := func() (*standalone.Authority, string) {
		t.Helper()
		a := &standalone.Authority{
			Dir: dir, Source: authority.NewSource([]string{"localhost"}, func() time.Time { return now }), Log: settle(),
			Now: func() time.Time { return now },
		}
		must(t, a.Look())
		if _, err := a.Source.GetCertificate(nil); err != nil {
			t.Error(err)
		}
		bundle, err := os.ReadFile(filepath.Join(dir, statedir.CertificateFile))
		must(t, err)
		return a, string(bundle)
	}
	_, first := look()
	must(t, os.Remove(filepath.Join(dir, statedir.CertificateFile)))
	a, again := look()
	if first != again {
		t.Error("the CA is another one after a restart")
	}
	must(t, os.WriteFile(filepath.Join(dir, "ca.json"), []byte(`{"ca.crt":""}`), 0o600))
	if err := a.Look(); err == nil || !strings.Contains(err.Error(), "ca.json") {
		t.Errorf("got error %v", err)
	}
	if _, err := a.Source.GetCertificate(nil); err != nil {
		t.Error("the certificate before is gone")
	}
}

// requestRotation does what gatehouse keys rotate does.
func requestRotation(t *testing.T, dir string) {
	t.Helper()
	_, err := statedir.UpdateEntries(dir, statedir.KeysEntries, func(entries map[string][]byte) (map[string][]byte, error) {
		entries[token.RotationRequest] = []byte{}
		return entries, nil
	})
	must(t, err)
}
