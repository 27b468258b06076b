package server

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
)

// maximumRequestID is the longest X-Request-Id in bytes that is taken over from a client.
const maximumRequestID = 64

// requests gives every request its id and finds where it came from.
type requests struct {
	trusted []netip.Prefix
	prefix  string // of the ids of this process
	count   atomic.Uint64
}

func newRequests(trusted []netip.Prefix) *requests {
	return &requests{trusted: trusted, prefix: rand.Text()[:10] + "-"}
}

// begin puts the request's audit data into its context and its id into the answer.
func (q *requests) begin(w http.ResponseWriter, r *http.Request, door string) *http.Request {
	id := r.Header.Get("X-Request-Id")
	if !plainID(id) {
		id = q.prefix + strconv.FormatUint(q.count.Add(1), 36)
	}
	w.Header()["X-Request-Id"] = []string{id}
	return r.WithContext(audit.WithRequest(r.Context(), audit.Request{ID: id, API: door, Source: q.source(r)}))
}

// plainID says whether an id from outside may go into logs as it is.
func plainID(id string) bool {
	if id == "" || len(id) > maximumRequestID {
		return false
	}
	return !strings.ContainsFunc(id, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.:/+=@", c))
	})
}

// source is the address that a request came from. Only what trusted proxies say in X-Forwarded-For is believed, read from
// the right: each proxy appends the address it saw.
func (q *requests) source(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(q.trusted) == 0 || !q.isTrusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		before, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return addr
		}
		addr = before.Unmap()
		if !q.isTrusted(addr) {
			return addr
		}
	}
	return addr
}

func (q *requests) isTrusted(addr netip.Addr) bool {
	return slices.ContainsFunc(q.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}
