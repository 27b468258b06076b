package openapi_test

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// answers compares what a service answers with the document, and remembers what it has answered.
type answers struct {
	*document
	mu   sync.Mutex
	seen map[answer]bool
}

// answer is a kind of answer: all that have one status, media type and code are alike to clients.
type answer struct{ operation, status, media, code string }

// documented returns every answer that the operations of the document may give.
func (a *answers) documented(probes bool) (out []answer) {
	a.operations(probes, func(method, path string, operation node) {
		for _, status := range operation.get("responses").keys() {
			content := operation.get("responses", status, "content")
			if !content.exists() {
				out = append(out, answer{method + " " + path, status, "", ""})
			}
			for _, media := range content.keys() {
				for _, code := range content.get(media, "schema").codes() {
					out = append(out, answer{method + " " + path, status, media, code})
				}
			}
		}
	})
	return out
}

// check requires that an operation may answer so, and remembers the answer.
func (a *answers) check(t testing.TB, method, path string, got servertest.Answer) {
	t.Helper()
	status := strconv.Itoa(got.Status)
	response := a.root.get("paths", path, strings.ToLower(method), "responses", status)
	if !response.exists() {
		t.Fatalf("%s %s answers %s, which the file does not have", method, path, got)
	}
	code := a.checkResponse(t, response, got)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[answer{method + " " + path, status, got.Header.Get("Content-Type"), code}] = true
}

// checkResponse requires that an answer is what a response object says, and returns its code.
func (a *answers) checkResponse(t testing.TB, response node, got servertest.Answer) (code string) {
	t.Helper()
	checkHeaders(t, response, got)
	media := got.Header.Get("Content-Type")
	content := response.get("content", media)
	switch {
	case got.Body == "" && !response.get("content").exists():
		return ""
	case !content.exists():
		t.Fatalf("%s has no content of type %q:\n%s", response.pointer, media, got)
	}
	var value any = got.Body
	if strings.HasSuffix(media, "json") {
		value = parse(t, got.Body)
	}
	if err := content.get("schema").validate(value); err != nil {
		t.Errorf("%s: %v:\n%s", content.pointer, err, got)
	}
	if slices.Equal(content.get("schema").codes(), []string{""}) {
		return ""
	}
	object, _ := value.(map[string]any)
	for _, name := range codeMembers {
		if text, ok := object[name].(string); ok {
			return text
		}
	}
	return ""
}

// everywhere are the headers that the description of the file promises for all answers.
var everywhere = []string{"Content-Length", "Content-Type", "Date", "Strict-Transport-Security", "X-Content-Type-Options", "X-Request-Id"}

func checkHeaders(t testing.TB, response node, got servertest.Answer) {
	t.Helper()
	headers := response.get("headers")
	for _, name := range headers.keys() {
		values := got.Header.Values(name)
		if headers.get(name, "required").value == true && len(values) == 0 {
			t.Errorf("%s: there is no %s:\n%s", response.pointer, name, got)
		}
		for _, value := range values {
			if err := headers.get(name, "schema").validate(value); err != nil {
				t.Errorf("%s: %s: %v", response.pointer, name, err)
			}
		}
	}
	for name := range got.Header {
		noStore := name == "Cache-Control" && got.Header.Get(name) == "no-store" && got.Body != ""
		known := slices.ContainsFunc(headers.keys(), func(documented string) bool { return strings.EqualFold(documented, name) })
		if !known && !noStore && !slices.Contains(everywhere, name) {
			t.Errorf("%s has no header %s: %s", response.pointer, name, got.Header.Get(name))
		}
	}
	for _, name := range []string{"X-Request-Id", "X-Content-Type-Options", "Strict-Transport-Security"} {
		if strings.HasPrefix(response.pointer, "/components") && got.Header.Get(name) == "" && !isProbe(got) {
			t.Errorf("%s: there is no %s", response.pointer, name)
		}
	}
}

// isProbe reports whether an answer comes from the port for probes, which has no TLS.
func isProbe(got servertest.Answer) bool {
	return got.Header.Get("X-Request-Id") == "" && got.Body == "ok"
}

// checkRequest requires that the body of a request that succeeds is one that the document allows.
func (a *answers) checkRequest(t testing.TB, method, path, body string) {
	t.Helper()
	request := a.root.get("paths", path, strings.ToLower(method), "requestBody")
	if body == "" {
		if request.get("required").value == true {
			t.Errorf("%s %s succeeds without a body", method, path)
		}
		return
	}
	for _, media := range request.get("content").keys() {
		var value any
		if strings.HasSuffix(media, "json") {
			value = parse(t, body)
		} else {
			value = parseForm(t, body)
		}
		if err := request.get("content", media, "schema").validate(value); err != nil {
			t.Errorf("%s %s takes a body that the file does not allow: %v", method, path, err)
		}
	}
}

func parse(t testing.TB, body string) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func parseForm(t testing.TB, body string) map[string]any {
	t.Helper()
	form, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for name := range form {
		out[name] = form.Get(name)
	}
	return out
}
