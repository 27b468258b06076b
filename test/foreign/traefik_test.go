package foreign_test

import (
	"net/http"
	"testing"
	"time"
)

func TestTraefikForwardAuth(t *testing.T) {
	path := program(t, "traefik")
	proxies{away: http.StatusInternalServerError, start: func(t *testing.T, url, ca string) proxy {
		address := freeAddress(t)
		certificate, key, roots := newCertificate(t)
		dynamic := writeFile(t, "dynamic.yaml", docsBlock(t, "forward-auth.md", "/etc/traefik/dynamic.yaml",
			"https://auth.example.com", url,
			"/etc/traefik/gatehouse-ca.crt", ca,
			"/etc/traefik/tls.crt", certificate,
			"/etc/traefik/tls.key", key,
			"Host(`app.example.com`)", "Host(`127.0.0.1`)",
			"http://app.internal:8080", startApplication(t).URL))
		start(t, address, path, "--configFile", writeFile(t, "traefik.yaml", docsBlock(t, "forward-auth.md", "/etc/traefik/traefik.yaml",
			":443", address, "/etc/traefik/dynamic.yaml", dynamic)))
		p := newProxy(t, address, roots)
		// Traefik listens before it has read the routes.
		eventually(t, 30*time.Second, func() bool {
			response, err := p.client.Get(p.url)
			if err != nil {
				return false
			}
			_ = response.Body.Close()
			return response.StatusCode != http.StatusNotFound
		})
		return p
	}}.test(t)
}
