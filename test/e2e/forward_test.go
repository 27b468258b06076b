package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// outsider is a client outside the cluster that reaches one replica through kubectl port-forward.
type outsider struct {
	url    string
	client *http.Client
}

// publishedCA returns the CA that the service publishes for its clients.
func publishedCA(t *testing.T) string {
	t.Helper()
	out, err := kubectl("", "-n", users, "get", "configmap", "gatehouse-ca", "-o", `jsonpath={.data.ca\.crt}`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// outsiders returns one for each ready replica, until the test ends.
func outsiders(t *testing.T) []outsider {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(publishedCA(t))) {
		t.Fatal("the published CA holds no certificate")
	}
	var all []outsider
	for _, p := range threeReplicas(t) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		all = append(all, outsider{portForward(t, "pod/"+p.Name, 8443), &http.Client{Transport: transport, Timeout: 10 * time.Second}})
	}
	return all
}

// portForward runs kubectl port-forward until the test ends, and returns the URL of its local end.
func portForward(t *testing.T, target string, port int) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kubectl", "-n", system, "port-forward", target, fmt.Sprintf(":%d", port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n') // Forwarding from 127.0.0.1:40123 -> 8443
	if err != nil {
		t.Fatalf("kubectl port-forward ended: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	localPort, _, _ := strings.Cut(strings.TrimPrefix(line, "Forwarding from 127.0.0.1:"), " ")
	return "https://localhost:" + localPort
}

// post sends JSON and returns the status and one field of the answer.
func (o outsider) post(t *testing.T, path, field string, body map[string]string) (int, string) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := o.client.Post(o.url+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer := map[string]any{}
	_ = json.NewDecoder(response.Body).Decode(&answer) // without JSON there is no field
	text, _ := answer[field].(string)
	if field == "token" && text != "" {
		suite.logs.addUsed(text)
	}
	return response.StatusCode, text
}

// token logs jeanjackson in and returns the status and the token.
func (o outsider) token(t *testing.T) (int, string) {
	t.Helper()
	return o.post(t, "/rbac-api/v1/auth/token", "token", map[string]string{"login": "jeanjackson@example.com", "password": "Lantern-Orchard-27-Violet"})
}

// accepts reports whether the replica accepts a token.
func (o outsider) accepts(t *testing.T, token string) bool {
	t.Helper()
	status, _ := o.post(t, "/rbac-api/v2/auth/token/authenticate", "", map[string]string{"token": token})
	return status == http.StatusOK
}
