package foreign_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

func TestPrometheusScrapesWithOAuth2(t *testing.T) {
	path := program(t, "prometheus")
	g, _ := newIssuer(t)
	scraper := directory.User{Login: "prometheus"}
	user := g.Put(t, scraper, "tick tock")
	// The application asks Gatehouse about each request, as a proxy does.
	app := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := g.Send(t, http.MethodGet, "/auth/verify", "", "Authorization: "+r.Header.Get("Authorization"))
		if a.Status != http.StatusOK || a.Header.Get("X-Auth-User") != "prometheus" {
			http.Error(w, "who is it?", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte("orders_total 3\n"))
	}))
	t.Cleanup(app.Close)
	appCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: app.Certificate().Raw})
	address := freeAddress(t)
	config := docsBlock(t, "programs.md", "/etc/prometheus/prometheus.yml",
		"https://auth.example.com", g.URL,
		"/etc/prometheus/app-ca.crt", writeFile(t, "app-ca.crt", string(appCA)),
		"/etc/prometheus/gatehouse-ca.crt", writeFile(t, "gatehouse-ca.crt", string(g.CA)),
		"/etc/prometheus/gatehouse-password", writeFile(t, "password", "tick tock"),
		"app.example.com:443", strings.TrimPrefix(app.URL, "https://"))
	start(t, address, path, "--web.listen-address", address, "--storage.tsdb.path", t.TempDir(),
		"--config.file", writeFile(t, "prometheus.yml", "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"+config))
	scraped := func(query, want string) func() bool {
		return func() bool {
			a := send(t, http.DefaultClient, http.MethodGet, "http://"+address+"/api/v1/query?query="+query, "")
			var answer struct {
				Data struct{ Result []struct{ Value [2]any } }
			}
			if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || len(answer.Data.Result) != 1 {
				return false
			}
			return answer.Data.Result[0].Value[1] == want
		}
	}
	eventually(t, 60*time.Second, scraped("orders_total", "3"))
	eventually(t, 60*time.Second, scraped("up", "1"))
	revoked := *user
	revoked.Revoked = true
	g.Put(t, revoked)
	eventually(t, 60*time.Second, scraped("up", "0"))
}
