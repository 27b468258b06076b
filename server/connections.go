package server

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// ConnectionLimits bound how many connections a server holds. An idle TLS connection takes about
// 46 KiB, so without a bound anyone who reaches the port can fill the memory.
type ConnectionLimits struct {
	Total      int // at once
	PerNetwork int // at once from one source network: an IPv4 /24 or an IPv6 /48
	// Exempt are addresses to which PerNetwork does not apply: proxies that carry the connections of others.
	Exempt []netip.Prefix
}

// Connections is a net.Listener that holds no more connections than its limits allow. When a limit is
// reached, it closes the connection that has been idle for longest, of the same network if the limit
// is that of a network. If none is idle, it closes the new one. Create it with LimitConnections, and
// set the ConnState of the server to its method of that name. It is also a prometheus.Collector.
type Connections struct {
	net.Listener
	limits ConnectionLimits

	mu       sync.Mutex
	open     int
	networks map[netip.Prefix]int
	idle     list.List // of *connection, the one that has been idle for longest first
	closed   uint64    // for want of room
}

// LimitConnections returns a listener that accepts from l within limits.
func LimitConnections(l net.Listener, limits ConnectionLimits) *Connections {
	return &Connections{Listener: l, limits: limits, networks: map[netip.Prefix]int{}}
}

// Accept returns the next connection that the limits leave room for.
func (l *Connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := remoteAddr(conn)
		c := &connection{Conn: conn, owner: l, network: sourceNetwork(addr), exempt: l.isExempt(addr)}
		if l.admit(c) {
			return c, nil
		}
		_ = conn.Close() // nothing was sent
	}
}

// count returns how many connections are open, and how many were closed for want of room, new or
// idle.
func (l *Connections) count() (open int, closed uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.closed
}

// Describe implements prometheus.Collector.
func (l *Connections) Describe(out chan<- *prometheus.Desc) {
	out <- openConnections()
	out <- closedConnections()
}

// Collect implements prometheus.Collector.
func (l *Connections) Collect(out chan<- prometheus.Metric) {
	open, closed := l.count()
	out <- prometheus.MustNewConstMetric(openConnections(), prometheus.GaugeValue, float64(open))
	out <- prometheus.MustNewConstMetric(closedConnections(), prometheus.CounterValue, float64(closed))
}

func openConnections() *prometheus.Desc {
	return describe("gatehouse_connections", "Open connections to the HTTPS server.")
}

func closedConnections() *prometheus.Desc {
	return describe("gatehouse_connections_closed_total", "Connections that the server closed because it held too many, new or idle.")
}

// ConnState follows which connections are idle. It is for http.Server.
func (l *Connections) ConnState(conn net.Conn, state http.ConnState) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, ok := conn.(*connection)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setIdle(c, state == http.StateIdle)
}

// admit counts a connection in, and makes room for it if need be.
func (l *Connections) admit(c *connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	sameNetwork := func(o *connection) bool { return o.network == c.network }
	anyNetwork := func(*connection) bool { return true }
	if (!c.exempt && l.networks[c.network] >= l.limits.PerNetwork && !l.evict(sameNetwork)) ||
		(l.open >= l.limits.Total && !l.evict(anyNetwork)) {
		l.closed++
		return false
	}
	l.open++
	l.networks[c.network]++
	c.counted = true
	return true
}

func (l *Connections) isExempt(addr netip.Addr) bool {
	return slices.ContainsFunc(l.limits.Exempt, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// evict closes the connection that has been idle for longest of those that may go, and reports whether
// there was one. The caller holds mu.
func (l *Connections) evict(may func(*connection) bool) bool {
	for e := l.idle.Front(); e != nil; e = e.Next() {
		c, ok := e.Value.(*connection)
		if !ok || !may(c) {
			continue
		}
		l.countOut(c)
		l.closed++
		go func() { _ = c.Conn.Close() }() // which may block on the network, and nothing waits for it
		return true
	}
	return false
}

// countOut forgets a connection. The caller holds mu.
func (l *Connections) countOut(c *connection) {
	if !c.counted {
		return
	}
	c.counted = false
	l.setIdle(c, false)
	l.open--
	if l.networks[c.network]--; l.networks[c.network] == 0 {
		delete(l.networks, c.network)
	}
}

// setIdle enters a connection into the idle ones or takes it out. The caller holds mu.
func (l *Connections) setIdle(c *connection, idle bool) {
	switch {
	case idle && c.counted && c.idle == nil:
		c.idle = l.idle.PushBack(c)
	case !idle && c.idle != nil:
		l.idle.Remove(c.idle)
		c.idle = nil
	}
}

// connection is one that is counted until it is closed. Its fields are guarded by the owner's mu.
type connection struct {
	net.Conn
	owner   *Connections
	network netip.Prefix
	exempt  bool // from the limit of the network
	counted bool
	idle    *list.Element // nil: it is not idle
}

// Close closes the connection and counts it out.
func (c *connection) Close() error {
	c.owner.mu.Lock()
	c.owner.countOut(c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

func remoteAddr(conn net.Conn) netip.Addr {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// sourceNetwork returns the network whose members count together: an IPv4 /24 or an IPv6 /48, which a
// provider often gives one customer whole. It is the zero Prefix for an invalid address.
func sourceNetwork(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
