package server

import (
	"net/netip"
	"sync"

	"github.com/gatehouse-auth/gatehouse/server/request"
)

// The bytes of request bodies that may be in flight at once, in all and from one source network. A
// client that sends half of a body and then nothing occupies memory until its connection times out.
const (
	maximumBodies           = 32 << 20
	maximumBodiesPerNetwork = 2 << 20
)

// bodies counts the bytes of the bodies in flight. The zero bodies is ready; it is safe for
// concurrent use.
type bodies struct {
	mu       sync.Mutex
	inFlight int64
	networks map[netip.Prefix]int64
}

// reservation is what reserve has counted for a body. release gives it back.
type reservation struct {
	network netip.Prefix
	length  int64
}

// reserve counts a body of a length from an address. It reports false, and counts nothing, when too many
// bytes are in flight. A body of unknown length, below 0, counts as the longest that is read.
func (b *bodies) reserve(length int64, source netip.Addr) (r reservation, ok bool) {
	if length < 0 || length > request.MaximumBody {
		length = request.MaximumBody
	}
	network := sourceNetwork(source)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inFlight+length > maximumBodies || b.networks[network]+length > maximumBodiesPerNetwork {
		return reservation{}, false
	}
	if b.networks == nil {
		b.networks = map[netip.Prefix]int64{}
	}
	b.inFlight += length
	b.networks[network] += length
	return reservation{network, length}, true
}

func (b *bodies) release(r reservation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight -= r.length
	if b.networks[r.network] -= r.length; b.networks[r.network] == 0 {
		delete(b.networks, r.network)
	}
}
