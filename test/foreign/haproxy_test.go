package foreign_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestHAProxyForwardAuth(t *testing.T) {
	path := installed(t, "/usr/sbin/haproxy")
	proxies{away: http.StatusServiceUnavailable, start: func(t *testing.T, url, ca string) proxy {
		address, internal := freeAddress(t), freeAddress(t)
		certificate, _, roots := newCertificate(t)
		script := writeFile(t, "gatehouse.lua", docsBlock(t, "forward-auth.md", "/etc/haproxy/gatehouse.lua", "127.0.0.1:8405", internal))
		start(t, address, path, "-db", "-f", writeFile(t, "haproxy.cfg", docsBlock(t, "forward-auth.md", "/etc/haproxy/haproxy.cfg",
			"/etc/haproxy/gatehouse.lua", script,
			"/etc/haproxy/gatehouse-ca.crt", ca,
			"/etc/haproxy/tls.pem", certificate,
			"bind :443", "bind "+address,
			"127.0.0.1:8405", internal,
			"auth.example.com:443", strings.TrimPrefix(url, "https://"),
			"auth.example.com", "example.com", // a name in the certificate of the service
			"app.internal:8080", strings.TrimPrefix(startApplication(t).URL, "http://"))))
		return newProxy(t, address, roots)
	}}.test(t)
}
