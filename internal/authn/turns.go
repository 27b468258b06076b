package authn

import (
	"maps"
	"net/netip"
	"slices"
)

// maximumLevels is how many levels of a tree tell tickets apart: those who have succeeded lately from
// others, up to three networks or addresses, and the login.
const maximumLevels = 5

// latelyTurns is how many turns those who have succeeded lately get for each turn of the others, as
// long as both wait.
const latelyTurns = 3

// The names of the first level.
const (
	lately = "lately"
	others = "others"
)

// pathOf returns the names of a claim at each level. Where a source has fewer networks than others,
// its last one stands for itself.
func pathOf(c claim) (path [maximumLevels]string) {
	path[0] = others
	if c.lately {
		path[0] = lately
	}
	for i := 1; i < maximumLevels-1; i++ {
		if len(c.source) > 0 {
			path[i] = c.source[min(i, len(c.source))-1]
		}
	}
	path[maximumLevels-1] = c.login
	return path
}

// sourceNetworks returns the networks of an address within which hosts share what they get, the
// widest first: an IPv4 /24 and the address itself, or an IPv6 /48, /56 and /64, of which providers
// give their customers one, and of which one host may use any address (RFC 6177).
func sourceNetworks(addr netip.Addr) []string {
	if !addr.IsValid() {
		return nil
	}
	lengths := []int{24, 32}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		lengths = []int{48, 56, 64}
	}
	names := make([]string, 0, len(lengths))
	for _, bits := range lengths {
		if network, err := addr.Prefix(bits); err == nil {
			names = append(names, network.String())
		}
	}
	return names
}

// tree holds tickets by their paths. At each node its children take turns, by start-time fair
// queueing: one that was served comes after those that were not, and a new one starts at the current
// clock, so it neither waits for what others had before nor catches up on it. The order of tickets
// with one path is that of their arrival.
type tree struct {
	root    *node
	arrived int // tickets so far
}

// node is one name at one level. A node of the last level has tickets instead of children.
type node struct {
	name     string
	parent   *node
	waiting  int // tickets below
	turn     int // when it is served next, by the clock of its parent
	clock    int
	since    int // arrival of the first ticket since it had none
	children map[string]*node
	tickets  []*ticket
}

func newTree() tree { return tree{root: &node{}} }

func (t *tree) len() int { return t.root.waiting }

// add adds a ticket.
func (t *tree) add(k *ticket) {
	t.arrived++
	n := t.root
	n.waiting++
	for _, name := range k.path {
		child := n.children[name]
		if child == nil {
			child = n.adopt(name)
		}
		n = child
		if n.waiting == 0 {
			n.since = t.arrived
		}
		n.waiting++
	}
	n.tickets = append(n.tickets, k)
	k.place = n
}

// adopt adds a child with a name. Children without tickets are there only because they were served
// not long ago. When there are many of them, it forgets them, so that memory stays bounded however
// many names there are.
func (n *node) adopt(name string) *node {
	if len(n.children) > 2*n.waiting+waitingPerSlot {
		maps.DeleteFunc(n.children, func(_ string, c *node) bool { return c.waiting == 0 })
	}
	if n.children == nil {
		n.children = map[string]*node{}
	}
	child := &node{name: name, parent: n, turn: n.clock}
	n.children[name] = child
	return child
}

// remove removes a ticket.
func (t *tree) remove(k *ticket) {
	n := k.place
	k.place = nil
	n.tickets = slices.DeleteFunc(n.tickets, func(o *ticket) bool { return o == k })
	for ; n != nil; n = n.parent {
		n.waiting--
		if n.waiting == 0 && n.parent != nil && n.turn <= n.parent.clock {
			delete(n.parent.children, n.name)
		}
	}
}

// next removes the ticket whose turn it is and returns it, or nil if none waits.
func (t *tree) next() *ticket {
	n := t.root
	if n.waiting == 0 {
		return nil
	}
	for n.tickets == nil {
		n = n.serve()
	}
	k := n.tickets[0]
	t.remove(k)
	return k
}

// serve returns the child whose turn it is, and counts one service of it.
func (n *node) serve() *node {
	var first *node
	for _, c := range n.children {
		if c.waiting == 0 {
			continue
		}
		if first == nil || n.turnOf(c) < n.turnOf(first) || n.turnOf(c) == n.turnOf(first) && c.since < first.since {
			first = c
		}
	}
	n.clock = n.turnOf(first)
	first.turn = n.clock + n.stride(first.name)
	return first
}

func (n *node) turnOf(c *node) int { return max(n.clock, c.turn) }

// stride is how far a service moves the next turn of a child: less far for those who have succeeded
// lately.
func (n *node) stride(child string) int {
	if n.parent == nil && child == lately {
		return 1
	}
	return latelyTurns
}

// heaviest returns the ticket that should make room for a newcomer: the youngest of the login that
// has most tickets, within the source that has most, of the wider network that has most, and so on.
// It returns nil where the newcomer's own would then have most.
func (t *tree) heaviest(newcomer *ticket) *ticket {
	n, onPath := t.root, true
	for level := range maximumLevels {
		own := ""
		if onPath {
			own = newcomer.path[level]
		}
		child, isOwn := n.heaviestChild(own, onPath)
		if child == nil {
			return nil
		}
		n, onPath = child, isOwn
	}
	if onPath {
		return nil
	}
	return n.tickets[len(n.tickets)-1]
}

// heaviestChild returns the child with most tickets for the turns that it gets, the younger one of
// two. If there is a newcomer, the child with the name own counts it, comes first of equals, and is
// nil if it has no tickets yet.
func (n *node) heaviestChild(own string, newcomer bool) (most *node, isOwn bool) {
	weight := 0
	if newcomer {
		most, isOwn, weight = n.children[own], true, n.stride(own)
		if most != nil {
			weight += most.waiting * n.stride(own)
		}
	}
	for name, c := range n.children {
		if c.waiting == 0 || newcomer && name == own {
			continue
		}
		w := c.waiting * n.stride(name)
		if w > weight || w == weight && !isOwn && c.since > most.since {
			most, isOwn, weight = c, false, w
		}
	}
	return most, isOwn
}
