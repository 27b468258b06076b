package foreign_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestNginxForwardAuth(t *testing.T) {
	path := installed(t, "/usr/sbin/nginx")
	proxies{away: http.StatusInternalServerError, start: func(t *testing.T, url, ca string) proxy {
		address := freeAddress(t)
		certificate, key, roots := newCertificate(t)
		site := writeFile(t, "app.conf", docsBlock(t, "forward-auth.md", "/etc/nginx/conf.d/app.conf",
			"listen 443 ssl", "listen "+address+" ssl",
			"/etc/nginx/tls/tls.crt", certificate,
			"/etc/nginx/tls/tls.key", key,
			"/etc/nginx/gatehouse-ca.crt", ca,
			"auth.example.com:443", strings.TrimPrefix(url, "https://"),
			"proxy_ssl_name                auth.example.com", "proxy_ssl_name example.com", // a name in the certificate of the service
			"app.internal:8080", strings.TrimPrefix(startApplication(t).URL, "http://")))
		// What Debian's nginx.conf has, for a server with files of its own.
		folder := t.TempDir()
		start(t, address, path, "-p", folder, "-e", "stderr", "-c", writeFile(t, "nginx.conf", fmt.Sprintf(
			"daemon off; master_process off; pid %[1]s/pid;\nevents {}\nhttp {\naccess_log off; client_body_temp_path %[1]s/body;\n"+
				"proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;\n"+
				"include %[2]s;\n}\n", folder, site)))
		return newProxy(t, address, roots)
	}}.test(t)
}
