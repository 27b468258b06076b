package serve

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

func TestTLSTakesAuthenticatedEncryptionOnly(t *testing.T) {
	t.Parallel()
	ca, err := authority.Authority{}.Advance([]string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	own := authority.NewSource([]string{"localhost"}, time.Now)
	if err := own.Use(ca); err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsConfig(certificate{get: own.GetCertificate}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) { _ = conn.(*tls.Conn).Handshake(); _ = conn.Close() }(conn) //nolint:errcheck // of tls.Listen
		}
	}()
	for _, c := range []struct {
		version, suite uint16
		accepted       bool
	}{
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, true},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, false},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, false},
		{tls.VersionTLS13, 0, true},
		{tls.VersionTLS11, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, false},
	} {
		config := &tls.Config{InsecureSkipVerify: true, MinVersion: c.version, MaxVersion: c.version, CipherSuites: []uint16{c.suite}}
		conn, err := tls.Dial("tcp", listener.Addr().String(), config)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != c.accepted {
			t.Errorf("%s with %s: got error %v", tls.VersionName(c.version), tls.CipherSuiteName(c.suite), err)
		}
	}
}

func TestCertificateFollowsThePrefixOfTheDeployment(t *testing.T) {
	t.Parallel()
	for pod, want := range map[string]string{
		"gatehouse-6d4b75cb6d-7xk2p":      "gatehouse",
		"team-gatehouse-6d4b75cb6d-7xk2p": "team-gatehouse",
		"gatehouse-0":                     "",
		"laptop":                          "",
		"":                                "",
	} {
		if got := deploymentOf(pod); got != want {
			t.Errorf("the Deployment of Pod %q is %q, want %q", pod, got, want)
		}
	}
	want := []string{"team-gatehouse", "team-gatehouse.auth", "team-gatehouse.auth.svc", "team-gatehouse.auth.svc.cluster.local"}
	if got := serviceNames("team-gatehouse", "auth"); !slices.Equal(got, want) {
		t.Errorf("the names of the Service are %q, want %q", got, want)
	}
}
