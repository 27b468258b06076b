package foreign_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestCaddyForwardAuth(t *testing.T) {
	t.Run("the newest release", func(t *testing.T) { testCaddy(t, program(t, "caddy")) })
	t.Run("Debian's release", func(t *testing.T) { testCaddy(t, installed(t, "/usr/bin/caddy")) })
}

func testCaddy(t *testing.T, path string) {
	proxies{away: http.StatusBadGateway, passesNoTenant: true, start: func(t *testing.T, url, ca string) proxy {
		address := freeAddress(t)
		certificate, key, roots := newCertificate(t)
		site := docsBlock(t, "forward-auth.md", "/etc/caddy/Caddyfile",
			"app.example.com {", "https://"+address+" {",
			"/etc/caddy/tls.crt", certificate,
			"/etc/caddy/tls.key", key,
			"/etc/caddy/gatehouse-ca.crt", ca,
			"https://auth.example.com", url,
			"app.internal:8080", strings.TrimPrefix(startApplication(t).URL, "http://"))
		// Another Caddy may run on this machine, with the ports of redirects and administration.
		start(t, address, path, "run", "--adapter", "caddyfile", "--config",
			writeFile(t, "Caddyfile", "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"+site))
		return newProxy(t, address, roots)
	}}.test(t)
}
