package foreign_test

import (
	"net/http"
	"testing"
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
		p.awaitRoutes(t)
		return p
	}}.test(t)
}
