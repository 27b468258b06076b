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

// Answer is a response of the service, with the whole body.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Send sends a request and returns the response. Each header has the form "Name: value". A request
// that gets no response ends the test.
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

// String returns the response as it looks on the wire, without the headers that differ from one
// request to the next, and without those that all responses have.
func (a Answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", a.Status, http.StatusText(a.Status))
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		switch name {
		case "Date", "X-Request-Id", "Strict-Transport-Security", "X-Content-Type-Options":
			continue
		}
		for _, value := range a.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String() + "\n" + a.Body + "\n"
}

// Golden compares the response with the file testdata/NAME.http of the test's package. If update is
// set it writes the file first.
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
		t.Errorf("the response differs from %s:\n%s", file, a)
	}
}
