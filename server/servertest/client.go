package servertest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Answer is what the service answered, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Send sends a request and returns the answer. Headers are given one by one, "Name: value".
func (s *Service) Send(t testing.TB, method, path, body string, headers ...string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	response, err := s.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(read)}
}

// String writes an answer as on the wire, without the headers that differ from one request to the next.
func (a Answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", a.Status, http.StatusText(a.Status))
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		if name == "Date" || name == "X-Request-Id" {
			continue
		}
		for _, value := range a.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String() + "\n" + a.Body + "\n"
}

// Golden compares an answer with the file testdata/NAME.http of the test's package, or writes the file.
func (a Answer) Golden(t testing.TB, name string, update bool) {
	t.Helper()
	file := filepath.Join("testdata", name+".http")
	if update {
		if err := os.WriteFile(file, []byte(a.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if a.String() != string(want) {
		t.Errorf("the answer is not that of %s:\n%s", file, a)
	}
}
