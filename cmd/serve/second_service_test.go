package serve

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// TestTwoServicesInOneProcess runs two services side by side, each on a folder of its own.
func TestTwoServicesInOneProcess(t *testing.T) {
	t.Parallel()
	first, second := startStandalone(t, t.TempDir()), startStandalone(t, t.TempDir())
	for _, app := range []*App{first, second} {
		apitest.Eventually(t, app.Address().String()+" is running", func() bool {
			return get("http://"+app.Address().String()+"/status/v1/simple") == "running"
		})
	}
}

// startStandalone runs a service on a folder of manifests and free ports until the test ends.
func startStandalone(t *testing.T, manifests string) *App {
	t.Helper()
	o := NewOptions()
	o.Manifests, o.StateDir, o.AllowHTTP, o.PrintCurl = manifests, t.TempDir(), true, ""
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return startApp(t, o)
}

// startApp runs a service until the test ends, and then requires that it stops without an error.
func startApp(t *testing.T, o *Options) *App {
	t.Helper()
	return startAppWithLog(t, o, slog.New(slog.DiscardHandler))
}

func startAppWithLog(t *testing.T, o *Options, log *slog.Logger) *App {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	app, err := New(o, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- app.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return app
}

// get returns the body of a successful response, and otherwise "".
func get(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}
