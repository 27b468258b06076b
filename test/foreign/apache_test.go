package foreign_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestApacheWithIntrospection(t *testing.T) {
	path := installed(t, "/usr/sbin/apache2")
	proxies{
		away: http.StatusUnauthorized, bearerOnly: true, hidesClients: true,
		start: func(t *testing.T, url, ca string) proxy { return startApache(t, path, url, ca) },
	}.test(t)
}

func startApache(t *testing.T, path, url, ca string) proxy {
	t.Helper()
	address := freeAddress(t)
	certificate, key, roots := newCertificate(t)
	// Workers of an Apache that root starts are another user.
	for path, mode := range map[string]os.FileMode{ca: 0o644, filepath.Dir(ca): 0o755, filepath.Dir(filepath.Dir(ca)): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	site := writeFile(t, "app.conf", docsBlock(t, "forward-auth.md", "/etc/apache2/sites-available/app.conf",
		"https://auth.example.com", url,
		"a password of app-proxy", appProxyPassword,
		"/etc/apache2/gatehouse-ca.crt", ca,
		"/etc/apache2/tls.crt", certificate,
		"/etc/apache2/tls.key", key,
		"*:443", address,
		"http://app.internal:8080", startApplication(t).URL))
	// What Debian's apache2.conf has, for a server with files of its own.
	var modules strings.Builder
	for _, module := range []string{
		"mpm_event", "authn_core", "authz_core", "authz_user", "env", "macro", "headers", "proxy", "proxy_http", "ssl", "auth_openidc",
	} {
		fmt.Fprintf(&modules, "LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", module)
	}
	folder := t.TempDir()
	start(t, address, path, "-DFOREGROUND", "-d", folder, "-f", writeFile(t, "apache2.conf", fmt.Sprintf(
		"User www-data\nGroup www-data\n%s\nServerName app.example.com\nListen %s\nPidFile %[3]s/pid\nDefaultRuntimeDir %[3]s\n"+
			"ErrorLog /dev/stderr\nMutex file:%[3]s\nInclude %[4]s\n", modules.String(), address, folder, site)))
	return newProxy(t, address, roots)
}
