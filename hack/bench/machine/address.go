package machine

import "net"

// FreeAddresses returns n different addresses on this machine at which no process listened a moment
// ago.
func FreeAddresses(n int) ([]string, error) {
	var free []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		if err != nil {
			return nil, err
		}
		defer l.Close() // not sooner, so that no address comes twice
		free = append(free, l.Addr().String())
	}
	return free, nil
}
