package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

func TestPanicIsAudited(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	sink := func(_ context.Context, e audit.Event) { events = append(events, e) }
	broken := api.API{Name: "broken", Routes: []api.Route{{Path: "/broken", Methods: map[string]http.HandlerFunc{
		"*": func(_ http.ResponseWriter, r *http.Request) { panic("secret of " + r.RemoteAddr) },
	}}}}
	ts := httptest.NewUnstartedServer(newHandler([]api.API{broken}, nil, newMetrics(prometheus.NewRegistry()), sink))
	ts.Start()
	response, err := http.Get(ts.URL + "/broken")
	if err == nil {
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		t.Errorf("got status %d, %s", response.StatusCode, text)
	}
	ts.Close()
	if len(events) != 1 || events[0].Name != audit.Panic || events[0].Outcome != audit.Failed ||
		!strings.Contains(events[0].Detail, "TestPanicIsAudited") || strings.Contains(events[0].Detail, "secret") {
		t.Errorf("events: %+v", events)
	}
}
