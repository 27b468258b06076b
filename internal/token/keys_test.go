package token_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/token"
)

func TestKeysEncodeAndParse(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{token.ES256, token.EdDSA, token.RS256} {
		keys := advance(t, token.Keys{}, start, policy(algorithm))
		keys = advance(t, edit(t, keys, requestRotation), start.Add(day), policy(algorithm))
		if back := edit(t, keys, func(map[string][]byte) {}); !back.Equal(keys) {
			t.Errorf("%s: other keys come back", algorithm)
		}
	}
}

func TestUnparsableEntryIsReportedAndKept(t *testing.T) {
	t.Parallel()
	keys := advance(t, token.Keys{}, start, policy(token.ES256))
	other := advance(t, token.Keys{}, start, policy(token.EdDSA))
	entries, err := keys.Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := len(entries)
	name := issuing(t, keys, token.Sign, start).EntryName()
	foreign, err := other.Encode()
	if err != nil {
		t.Fatal(err)
	}
	garbage := map[string]string{
		"README":        "these are keys",
		"sign-":         "",
		"sign-null":     "null",
		"seal-AAAAAA":   `{"key":{"kty":"oct","k":"AAAA","kid":"AAAAAA","alg":"XC20P"}}`,
		"sign-public":   `{"key":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"public","alg":"EdDSA"}}`,
		"sign-renamed":  string(entries[name]),
		"sign-mistaken": strings.Replace(string(foreign[issuing(t, other, token.Sign, start).EntryName()]), "EdDSA", "ES256", 1),
	}
	for name, content := range garbage {
		entries[name] = []byte(content)
	}

	read, err := token.ParseKeys(entries)

	for name := range garbage {
		if err == nil || !strings.Contains(err.Error(), "entry "+name+":") {
			t.Errorf("entry %s is not reported in: %v", name, err)
		}
	}
	if got := issuing(t, read, token.Sign, start).EntryName(); got != name {
		t.Errorf("key %s signs, want %s", got, name)
	}
	kept, err := advance(t, read, start.Add(60*day), policy(token.ES256)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range garbage {
		if string(kept[name]) != content {
			t.Errorf("entry %s was not kept", name)
		}
	}
	if len(kept) < good+len(garbage) {
		t.Errorf("%d entries are left of %d", len(kept), good+len(garbage))
	}
}

func TestKeyErrorsDoNotQuoteKey(t *testing.T) {
	t.Parallel()
	entries, err := advance(t, token.Keys{}, start, policy(token.ES256)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range entries {
		_, private, _ := strings.Cut(string(content), `"d":"`)
		if _, secret, ok := strings.Cut(string(content), `"k":"`); ok {
			private = secret
		}
		private, _, _ = strings.Cut(private, `"`)
		for _, broken := range []string{
			string(content[:len(content)-1]), strings.Replace(string(content), `"alg":"`, `"alg":"x`, 1),
			strings.Replace(string(content), private, private[1:], 1), strings.Replace(string(content), `"kid":"`, `"kid":"x`, 1),
		} {
			_, err := token.ParseKeys(map[string][]byte{name: []byte(broken)})
			if err == nil {
				t.Errorf("%s: a broken key is read", name)
			} else if len(private) < 20 || strings.Contains(err.Error(), private[1:]) {
				t.Errorf("%s: the complaint contains the key", name)
			}
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, algorithm := range []string{token.ES256, token.EdDSA} {
		entries, err := advance(f, token.Keys{}, start, policy(algorithm)).Encode()
		if err != nil {
			f.Fatal(err)
		}
		for name, content := range entries {
			f.Add(name, content)
		}
	}
	f.Add("README", []byte("{"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		keys, err := token.ParseKeys(map[string][]byte{name: content})
		all := append(keys.All(token.Sign), keys.All(token.Seal)...)
		if (err == nil) != (len(all) == 1 || name == token.RotationRequest) {
			t.Fatalf("%d keys and error %v", len(all), err)
		}
		entries, err := keys.Encode()
		if err != nil || len(entries) != 1 {
			t.Fatalf("%d entries are left, error %v", len(entries), err)
		}
		again, _ := token.ParseKeys(entries)
		if !again.Equal(keys) {
			t.Fatal("other keys come back")
		}
		set := &token.KeySet{}
		set.Use(keys)
		set.Public(start)
	})
}
