package serve

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/logging"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// login sends a login that is refused, and returns the status.
func login(t *testing.T, app *App) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+app.Address().String()+"/v1/users/authorize", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("stranger", "guess")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func standaloneOptions(t *testing.T) *Options {
	t.Helper()
	o := NewOptions()
	o.Manifests, o.StateDir, o.AllowHTTP, o.PrintCurl = t.TempDir(), t.TempDir(), true, ""
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress = "127.0.0.1:0", "127.0.0.1:0", noAddress
	return o
}

func TestAuditLogIsRotated(t *testing.T) {
	t.Parallel()
	o := standaloneOptions(t)
	o.AuditLog = filepath.Join(t.TempDir(), "audit.log")
	app := startApp(t, o)
	awaitRunning(t, app)
	wantLogin := func(path string) {
		apitest.Eventually(t, "a login is in "+path, func() bool {
			text, err := os.ReadFile(path)
			line := map[string]any{}
			return err == nil && json.Unmarshal(text[:strings.IndexByte(string(text), '\n')+1], &line) == nil &&
				line["event"] == "login" && line["login"] == "stranger"
		})
	}
	if status := login(t, app); status != http.StatusUnauthorized {
		t.Fatalf("got status %d", status)
	}
	wantLogin(o.AuditLog)
	if err := os.Rename(o.AuditLog, o.AuditLog+".1"); err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, "the file is reopened", func() bool { _, err := os.Stat(o.AuditLog); return err == nil })
}

func TestUnusableAuditLogStopsTheStart(t *testing.T) {
	t.Parallel()
	o := standaloneOptions(t)
	o.AuditLog = t.TempDir()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--audit-log") {
		t.Errorf("New: %v", err)
	}
}

// blocked is an output that blocks until it is opened.
type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) { <-b; return len(p), nil }

func TestBlockedLogFailsReadinessOnly(t *testing.T) {
	t.Parallel()
	out := make(blocked)
	log, writer, err := logging.New(out, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	app := startAppWithLog(t, standaloneOptions(t), log)
	app.logs["the log"] = writer
	awaitRunning(t, app)
	apitest.Eventually(t, "readiness fails", func() bool { return app.ready(certificate{}) != nil })
	for range 100 {
		if status := login(t, app); status != http.StatusUnauthorized {
			t.Fatalf("got status %d", status)
		}
	}
	close(out)
	apitest.Eventually(t, "the service is ready again", func() bool { return app.ready(certificate{}) == nil })
}

func awaitRunning(t *testing.T, app *App) {
	t.Helper()
	apitest.Eventually(t, "the service is running", func() bool {
		return get("http://"+app.Address().String()+"/status/v1/simple") == "running"
	})
}
