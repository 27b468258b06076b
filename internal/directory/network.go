package directory

import "net/netip"

// Network is the source network of a request: an IPv4 /24 or an IPv6 /48, which one person or one
// provider's customer may have whole. The zero Network is that of an unknown source.
type Network uint64

// The upper byte of a Network tells the families apart.
const (
	ipv4Network = 1 << 56
	ipv6Network = 2 << 56
)

// NetworkOf returns the network of an address.
func NetworkOf(addr netip.Addr) Network {
	addr = addr.Unmap()
	switch {
	case addr.Is4():
		a := addr.As4()
		return ipv4Network | Network(a[0])<<16 | Network(a[1])<<8 | Network(a[2])
	case addr.Is6():
		network := Network(ipv6Network)
		for i, b := range addr.As16() {
			if i < 6 {
				network |= Network(b) << (40 - 8*i)
			}
		}
		return network
	}
	return 0
}
