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

// maximumRequestID is the longest X-Request-Id, in bytes, that is accepted from a client.
const maximumRequestID = 64

// requests gives every request an ID and determines its source address.
type requests struct {
	trusted []netip.Prefix
	prefix  string // of the IDs that this process generates
	count   atomic.Uint64
}

func newRequests(trusted []netip.Prefix) *requests {
	return &requests{trusted: trusted, prefix: rand.Text()[:10] + "-"}
}

// begin returns r with its audit data in the context, and sets the X-Request-Id of the response. It
// keeps the ID that the client sent if that is safe to log, and generates one otherwise.
func (q *requests) begin(w http.ResponseWriter, r *http.Request, apiName string) *http.Request {
	id := r.Header.Get("X-Request-Id")
	if !isLoggableID(id) {
		id = q.prefix + strconv.FormatUint(q.count.Add(1), 36)
	}
	w.Header()["X-Request-Id"] = []string{id}
	return r.WithContext(audit.WithRequest(r.Context(), audit.Request{ID: id, API: apiName, Source: q.source(r)}))
}

// isLoggableID reports whether an ID from a client is safe to write to logs unchanged.
func isLoggableID(id string) bool {
	if id == "" || len(id) > maximumRequestID {
		return false
	}
	return !strings.ContainsFunc(id, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.:/+=@", c))
	})
}

// source returns the address that a request came from. It uses X-Forwarded-For only as far as
// trusted proxies wrote it, and reads it from the right, because each proxy appends the address
// that it saw. The result is the zero Addr if the peer address cannot be parsed.
func (q *requests) source(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(q.trusted) == 0 || !q.isTrusted(addr) {
		return addr
	}
	hops := strings.Split(lastHops(strings.Join(r.Header.Values("X-Forwarded-For"), ",")), ",")
	for _, hop := range slices.Backward(hops) {
		previous, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return addr
		}
		addr = previous.Unmap()
		if !q.isTrusted(addr) {
			return addr
		}
	}
	return addr
}

// lastHops returns a list of hops without its beginning, if it is longer than maximumParsedHeader bytes.
func lastHops(list string) string {
	if len(list) <= maximumParsedHeader {
		return list
	}
	_, whole, _ := strings.Cut(list[len(list)-maximumParsedHeader:], ",") // the first may be half an address
	return whole
}

func (q *requests) isTrusted(addr netip.Addr) bool {
	return slices.ContainsFunc(q.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}
