package informer_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
)

func TestSignOfLifeIsASuccessfulAnswerAndWhatArrivesOnAWatch(t *testing.T) {
	t.Parallel()
	events := make(chan string)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/watch" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = http.NewResponseController(w).Flush()
		for event := range events {
			_, _ = io.WriteString(w, event)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(s.Close)
	var heard atomic.Int64
	client := &http.Client{Transport: informer.SignsOfLife(func() { heard.Add(1) })(s.Client().Transport)}
	get := func(path string) io.Reader {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response.Body
	}
	get("/proxy")
	if n := heard.Load(); n != 0 {
		t.Errorf("the answer of a proxy counts %d times", n)
	}
	watch := get("/watch")
	if n := heard.Load(); n != 1 {
		t.Errorf("a successful answer counts %d times", n)
	}
	for range 3 {
		before := heard.Load()
		events <- "bookmark"
		if _, err := io.ReadFull(watch, make([]byte, len("bookmark"))); err != nil || heard.Load() == before {
			t.Errorf("an event does not count: %v", err)
		}
	}
	close(events)
}
