package serve

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// cuttable forwards connections to an API server until it is cut, and again once it is restored.
type cuttable struct {
	net.Listener
	target string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (c *cuttable) serve() {
	for {
		client, err := c.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		refused := c.cut
		c.conns = append(c.conns, client)
		c.mu.Unlock()
		target, err := net.Dial("tcp", c.target)
		if refused || err != nil {
			_ = client.Close()
			continue
		}
		go func() { _, _ = io.Copy(target, client); _ = target.Close() }()
		go func() { _, _ = io.Copy(client, target); _ = client.Close() }()
	}
}

// set cuts every connection and refuses new ones, or accepts new ones again.
func (c *cuttable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// behindCuttable returns a kubeconfig that reaches the API server through a cuttable.
func behindCuttable(t *testing.T) (*cuttable, string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(apitest.Kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cuttable{Listener: listener}
	for _, cluster := range config.Clusters {
		c.target = cluster.Server
		if u, err := url.Parse(cluster.Server); err == nil && u.Host != "" {
			c.target = u.Host
		}
		cluster.Server = "https://" + listener.Addr().String()
	}
	go c.serve()
	t.Cleanup(func() { c.set(true); _ = c.Close() })
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return c, path
}

func TestReplicaWithoutASignOfLifeAnswersUnavailable(t *testing.T) {
	const bound = 15 * time.Second // longer than the API server is silent while nothing changes
	proxy, kubeconfig := behindCuttable(t)
	o := NewOptions()
	o.MaximumStaleness = 2 * bound
	s, app := newStoryWith(t, o, kubeconfig)
	if heard := app.directory.LastHeard(); app.directory.Stale(heard.Add(2*bound)) || !app.directory.Stale(heard.Add(2*bound+1)) {
		t.Error("the flag does not bound the staleness")
	}
	app.directory.LimitStaleness(bound) // so that the test is short
	s.declare()
	jwt := s.authorize()
	quiet := time.Now()
	s.eventually("the replica serves for longer than the bound while nothing changes", func() bool {
		if got := s.verify(jwt); got != http.StatusOK {
			t.Fatalf("got status %d after %s without a change", got, time.Since(quiet))
		}
		return time.Since(quiet) > bound+3*time.Second
	})
	if age := time.Since(app.directory.LastEvent()); age < bound {
		t.Logf("something has changed %s ago", age)
	}

	proxy.set(true)
	for got := http.StatusOK; got != http.StatusServiceUnavailable; {
		silent := app.now().Sub(app.directory.LastHeard()) // before the answer, which can only be later
		got = s.verify(jwt)
		if got == http.StatusServiceUnavailable && app.now().Sub(app.directory.LastHeard()) <= bound {
			t.Fatalf("503 after %s without a sign of life", silent)
		}
		if got == http.StatusOK && silent > bound {
			t.Fatalf("the replica serves after %s without a sign of life", silent)
		}
		<-time.After(50 * time.Millisecond)
	}
	if err := app.ready(certificate{}); err == nil {
		t.Error("a stale replica is ready")
	}
	if status, _ := s.post("/v1/users/authorize", ""); status != http.StatusServiceUnavailable {
		t.Errorf("a login gets status %d", status)
	}

	proxy.set(false)
	restored := time.Now()
	s.eventually("the replica serves again", func() bool { return s.verify(jwt) == http.StatusOK })
	t.Logf("serves again after %s", time.Since(restored))
	if err := app.ready(certificate{}); err != nil {
		t.Error(err)
	}
}
