package strictjson_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
)

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

func TestValueWithinLimitsIsAccepted(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an object":                        `{"a":1,"b":[true,null,"x"]}`,
		"an empty object":                  `{}`,
		"a number":                         `-12.5e3`,
		"a number beyond every type":       `1e999999`,
		"a string with escapes":            `"\u0041\n\ud83d\ude00"`,
		"white space on all sides":         " \t\r\n{ \"a\" : 1 } \n",
		"the same key in objects beside":   `[{"a":1},{"a":2}]`,
		"the same key in an object within": `{"a":{"a":1}}`,
		"keys that differ in case":         `{"a":1,"A":2}`,
		"as many levels as are allowed":    nested(strictjson.MaximumDepth),
		"many items on one level":          "[" + strings.Repeat("[],", 5000) + "[]]",
	} {
		t.Run(name, func(t *testing.T) {
			if err := strictjson.Check([]byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMalformedTextIsRefusedAndNotQuoted(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":                         ``,
		"white space":                     " \n",
		"an object that does not end":     `{"secret":`,
		"a list that does not end":        `["secret"`,
		"a string that does not end":      `"secret`,
		"a value twice":                   `"secret""secret"`,
		"text after the value":            `{} secret`,
		"a bracket too many":              `{"secret":1}}`,
		"the wrong bracket":               `{"secret":1]`,
		"a comma at the end of a list":    `["secret",]`,
		"a comma at the end of an object": `{"secret":1,}`,
		"a comma at the start":            `[,"secret"]`,
		"no comma":                        `["secret" "secret"]`,
		"no colon":                        `{"secret" 1}`,
		"a colon in a list":               `["secret":1]`,
		"a key that is not a string":      `{secret:1}`,
		"a number for a key":              `{1:"secret"}`,
		"single quotes":                   `{'secret':1}`,
		"a comment":                       `{"secret":1} // secret`,
		"a byte order mark":               "\ufeff{\"secret\":1}",
		"a control character":             "\"secret\n\"",
		"an unknown escape":               `"secret\x"`,
		"a leading zero":                  `{"secret":01}`,
		"a plus sign":                     `{"secret":+1}`,
		"no number":                       `{"secret":NaN}`,
		"a NUL at the end":                "{\"secret\":1}\x00",
		"what is not UTF-8":               "{\"secret\":\"\xff\"}",
		"half a character":                "\"secret\xc3\"",
		"a key twice":                     `{"secret":1,"secret":1}`,
		"a key twice, once escaped":       `{"secret":1,"\u0073ecret":2}`,
		"a key twice deep down":           `[{"a":[{"secret":1,"secret":2}]}]`,
		"one level too many":              nested(strictjson.MaximumDepth + 1),
		"a hundred thousand levels":       strings.Repeat("[", 100_000),
		"a hundred thousand objects":      strings.Repeat(`{"a":`, 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			err := strictjson.Check([]byte(text))
			if !errors.Is(err, strictjson.ErrMalformed) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "secret") || len(err.Error()) > 100 {
				t.Errorf("the message repeats the text: %v", err)
			}
		})
	}
}

func TestParseObjectAcceptsObjectsOnly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		`null`: strictjson.ErrNotObject, `[]`: strictjson.ErrNotObject, `"{}"`: strictjson.ErrNotObject, ` 5`: strictjson.ErrNotObject,
		`true`: strictjson.ErrNotObject, `{`: strictjson.ErrMalformed, ` {} `: nil,
	} {
		if _, err := strictjson.ParseObject([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestObjectKeepsKeysAndValues(t *testing.T) {
	t.Parallel()
	object, err := strictjson.ParseObject([]byte(`{"ttl": 60.0 ,"TTL":null,"\u0061":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(object)); !slices.Equal(got, []string{"TTL", "a", "ttl"}) {
		t.Errorf("keys %q", got)
	}
	if got := string(object["ttl"]); got != "60.0" {
		t.Errorf("ttl is %q", got)
	}
}

func TestStringAndNullValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		s            string
		isString, is bool
	}{
		`"x"`: {"x", true, false}, `""`: {"", true, false}, `"\u0041"`: {"A", true, false}, `null`: {"", false, true},
		`"null"`: {"null", true, false}, `5`: {}, `["x"]`: {}, ``: {},
	} {
		s, ok := strictjson.String(json.RawMessage(text))
		if null := strictjson.IsNull(json.RawMessage(text)); s != want.s || ok != want.isString || null != want.is {
			t.Errorf("%s: %q, string %t, null %t", text, s, ok, null)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"a":2}`, `[1,2,]`, `{"a" 1}`, `"\ud800"`, `{"a" : "x" , "b":{"c":"y"},"d":"\u0041\ud800"}`, nested(33), `1 2`, "\xff", `{"a":{"b":[null,true,1e9]}}`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := strictjson.Check(text)
		if err != nil && !errors.Is(err, strictjson.ErrMalformed) {
			t.Fatalf("%v is not malformed", err)
		}
		if err == nil && (!json.Valid(text) || !utf8.Valid(text)) {
			t.Fatal("a text that is not JSON was accepted")
		}
		// Without objects and within the depth nothing is stricter than the standard library.
		if err != nil && json.Valid(text) && utf8.Valid(text) && !strings.ContainsAny(string(text), "{") && strings.Count(string(text), "[") <= strictjson.MaximumDepth {
			t.Fatalf("refused: %v", err)
		}
		object, err := strictjson.ParseObject(text)
		if err != nil {
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(text, &plain); err != nil {
			if _, isRange := errors.AsType[*json.UnmarshalTypeError](err); !isRange {
				t.Fatalf("the standard library returns %v", err)
			}
			return
		}
		if len(plain) != len(object) {
			t.Fatalf("%d keys, the standard library %d", len(object), len(plain))
		}
		for name, want := range plain {
			var got any
			if err := json.Unmarshal(object[name], &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%q is %v, the standard library returns %v (%v)", object[name], got, want, err)
			}
			s, isString := strictjson.String(object[name])
			if wanted, ok := want.(string); ok != isString || s != wanted {
				t.Fatalf("%q is %q, the standard library returns %v", object[name], s, want)
			}
		}
	})
}
