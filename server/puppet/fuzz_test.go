package puppet

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
)

func TestBusyRetryAfterIsInWholeSeconds(t *testing.T) {
	t.Parallel()
	w := newWire()
	for wait, want := range map[time.Duration]string{1500 * time.Millisecond: "2", 7 * time.Second: "7"} {
		rw := httptest.NewRecorder()
		w.refuse(rw, httptest.NewRequest(http.MethodPost, "/", nil), &authn.BusyError{RetryAfter: wait})
		if got := rw.Header().Get("Retry-After"); rw.Code != http.StatusServiceUnavailable || got != want {
			t.Errorf("%s: %d, Retry-After %q", wait, rw.Code, got)
		}
	}
}

func TestUnexpectedErrorRevealsNothing(t *testing.T) {
	t.Parallel()
	rw := httptest.NewRecorder()
	newWire().refuse(rw, httptest.NewRequest(http.MethodPost, "/", nil), errors.New("internal detail"))
	if rw.Code != http.StatusServiceUnavailable || rw.Body.String() != string(unavailable.encode())+"\n" {
		t.Errorf("%d %s", rw.Code, rw.Body)
	}
}

func FuzzLifetime(f *testing.F) {
	for _, seed := range []string{"", "0", "0s", "60", "4h", "10y", "300y", "-1", "+1", "1.5h", "1H", "1h\n", "٣m", "9223372036854775808", "00000000000000000000001d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lifetime, ok := parseLifetime(text)
		digits := strings.TrimRight(text, "ydhms")
		inGrammar := len(text)-len(digits) <= 1 && digits != "" && strings.Trim(digits, "0123456789") == ""
		switch {
		case ok != inGrammar:
			t.Fatalf("%q is accepted: %t", text, ok)
		case !ok && lifetime != 0, ok && lifetime <= 0, ok && lifetime != grant.Longest && lifetime%time.Second != 0:
			t.Fatalf("%q is %s", text, lifetime)
		}
		if longer, _ := parseLifetime("9" + text); ok && strings.Trim(digits, "0") != "" && longer < lifetime {
			t.Fatalf("%q is %s, but with one more digit %s", text, lifetime, longer)
		}
	})
}

func FuzzLabel(f *testing.F) {
	for _, seed := range []string{"", " ", "ci", "  ci job ", "a,b", "a\nb", "\u2003x\u00a0", "\u0085", strings.Repeat("é", 200), strings.Repeat("x", 201), "\x00", "\u200b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		label, complaint := parseLabel(text)
		if complaint != "" {
			if label != "" || text != "" && strings.Contains(complaint, text) && utf8.RuneCountInString(text) > 20 {
				t.Fatalf("refused with %q and %q", label, complaint)
			}
			return
		}
		if label == "" || utf8.RuneCountInString(label) > 200 || strings.Contains(label, ",") || strings.ContainsFunc(label, unicode.IsControl) || strings.TrimSpace(label) != label {
			t.Fatalf("accepted: %q", label)
		}
		if reparsed, complaint := parseLabel(" \t" + label + "\u00a0"); complaint != "" || reparsed != label {
			t.Fatalf("%q reads back as %q, %s", label, reparsed, complaint)
		}
	})
}

// FuzzLoginBody checks that encoding/json reads the same from every accepted body, and that no
// refusal repeats the password.
func FuzzLoginBody(f *testing.F) {
	for _, seed := range []string{
		`{"login":"alice","password":"s3cret-0","lifetime":"4h","label":"ci","description":"d","client":"c"}`,
		`{"login":"alice","password":"s3cret-0","ttl":60}`, `{"login":"alice","s3cret-0":"password"}`, `{"password":["s3cret-0"]}`,
		`{"login":null,"password":"s3cret-0"}`, `{"login":"alice","password":"s3cret-0","label":""}`, `["s3cret-0"]`, `{"password":"s3cret-0`, `null`, ``,
		`{"login":"a","password":"b","lifetime":"s3cret-0"}`, `{"\u006cogin":"a","password":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		login, password, order, err := readLogin(r)
		if err != nil {
			failure, ok := errors.AsType[*failure](err)
			if !ok || !slices.Contains([]string{"malformed-request", "schema-violation"}, failure.kind) || failure.details != nil {
				t.Fatalf("refused with %v", err)
			}
			if strings.Contains(string(failure.encode()), "s3cret-0") {
				t.Fatalf("the password is echoed: %s", failure.encode())
			}
			return
		}
		var want map[string]string
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("accepted, but not an object of strings: %v", err)
		}
		if login != want["login"] || password != want["password"] || order.Description != want["description"] || order.Client != want["client"] {
			t.Fatalf("read %q, %q, %+v", login, password, order)
		}
		if order.Label != strings.TrimSpace(want["label"]) || (order.Lifetime > 0) != (want["lifetime"] != "") {
			t.Fatalf("read %+v", order)
		}
	})
}

// FuzzRevocation checks that query and body are merged without loss, and that a request without
// parameters is refused.
func FuzzRevocation(f *testing.F) {
	for _, seed := range [][2]string{
		{"revoke_tokens=a,b&revoke_tokens=c", `{"revoke_tokens":["d"],"revoke_tokens_by_ids":["e"]}`}, {"token=x", ""}, {"", "{}"}, {"a;b", ""},
		{"revoke_tokens=&x=", `{"revoke_tokens":[]}`}, {"revoke_tokens_by_labels=%ff", ""}, {"%zz", ""}, {"", `{"revoke_tokens":null}`}, {"x=1", `{"y":[`},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, query string, body []byte) {
		r := httptest.NewRequest(http.MethodDelete, "/", strings.NewReader(string(body)))
		r.URL.RawQuery = query
		parsed, err := readRevocation(r)
		if err != nil {
			failure, ok := errors.AsType[*failure](err)
			if !ok || failure.kind != "malformed-token-request" || failure.status != http.StatusBadRequest || !utf8.ValidString(failure.msg) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		var all []string
		for _, list := range [][]string{parsed.tokens, parsed.usernames, parsed.labels, parsed.ids, parsed.unrecognized} {
			all = append(all, list...)
		}
		if len(all) == 0 || slices.ContainsFunc(all, func(s string) bool { return !utf8.ValidString(s) }) {
			t.Fatalf("accepted as %+v", parsed)
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("accepted, but the query cannot be parsed: %v", err)
		}
		object, err := strictjson.ParseObject(body)
		if len(body) > 0 && err != nil {
			t.Fatalf("accepted, but the body cannot be parsed: %v", err)
		}
		var listed []string
		_ = json.Unmarshal(object["revoke_tokens"], &listed) // absent, or a list of strings
		if inQuery := strings.Join(values["revoke_tokens"], ","); !strings.HasSuffix(strings.Join(parsed.tokens, ","), strings.Join(listed, ",")) || inQuery == "" && len(parsed.tokens) != len(listed) {
			t.Fatalf("%q and %q became %q", inQuery, listed, parsed.tokens)
		}
	})
}

// FuzzPage checks that for every accepted query the page is within the records and has the right
// total.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{"", "limit=2&offset=1", "limit=0", "limit=4294967296", "offset=-1", "order_by=client&order=desc", "limit=%zz", "limit=1;limit=2", "limit=2147483647&offset=2147483647"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		p, err := parsePage(query)
		if err != nil {
			return
		}
		records := []directory.Record{{ID: "a", Client: "y"}, {ID: "b", Client: "x"}, {ID: "c"}}
		got := p.cut(records)
		if got.Pagination.Total != 3 || len(got.Items) > max(0, 3-p.Offset) || p.Limit != nil && len(got.Items) > *p.Limit {
			t.Fatalf("%q gives %d of %d records", query, len(got.Items), got.Pagination.Total)
		}
	})
}
