package audit

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// refusalInterval is how often the refusals of one kind take a line.
const refusalInterval = time.Second

// The bounds of what is kept about refusals. Kinds beyond maximumKinds count together, so that an
// attacker with many source networks does not fill the log either.
const (
	maximumKinds     = 256
	maximumLogins    = 8 // named for one kind in one interval
	maximumLoginName = 64
)

// refusalKind is what refusals must have in common to be counted together.
type refusalKind struct {
	event, outcome, reason, api string
	network                     netip.Prefix
	actor                       Account
}

// repeated is what is kept about the refusals of one kind since their last line.
type repeated struct {
	count  uint64
	logins []string
}

// refusals counts refusals. Only refused requests take its lock.
type refusals struct {
	write func(refusalKind, uint64, []string)

	mu    sync.Mutex
	kinds map[refusalKind]*repeated // those that were refused within the last interval
	due   bool                      // a flush is scheduled
}

// counted reports whether e was counted, to be written later. It was not if it is the first of its
// kind for an interval, which is worth a line of its own.
func (f *refusals) counted(r *Request, e *Event) bool {
	kind := refusalKind{e.Name, e.Outcome, e.Reason, r.API, sourceNetwork(r.Source), e.Actor}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kinds == nil {
		f.kinds = map[refusalKind]*repeated{}
	}
	known, ok := f.kinds[kind]
	if !ok && len(f.kinds) >= maximumKinds {
		kind = refusalKind{event: e.Name, outcome: e.Outcome, reason: e.Reason}
		known, ok = f.kinds[kind]
	}
	if !f.due {
		f.due = true
		time.AfterFunc(refusalInterval, f.tick)
	}
	if !ok {
		f.kinds[kind] = &repeated{}
		return false
	}
	known.count++
	if e.Login != "" && len(known.logins) < maximumLogins {
		if login := clip(e.Login, maximumLoginName); !slices.Contains(known.logins, login) {
			known.logins = append(known.logins, strings.Clone(login)) // not the whole request
		}
	}
	return true
}

// tick writes what was counted, and goes on as long as there are refusals.
func (f *refusals) tick() {
	f.flush()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due = len(f.kinds) > 0; f.due {
		time.AfterFunc(refusalInterval, f.tick)
	}
}

// flush writes what was counted, and forgets the kinds of which there were no more.
func (f *refusals) flush() {
	f.mu.Lock()
	lines := make(map[refusalKind]repeated, len(f.kinds))
	for kind, known := range f.kinds {
		if known.count == 0 {
			delete(f.kinds, kind)
			continue
		}
		lines[kind] = *known
		*known = repeated{}
	}
	f.mu.Unlock()
	for kind, line := range lines {
		f.write(kind, line.count, line.logins)
	}
}

// sourceNetwork returns the network that counts as one source: an IPv4 /24 or an IPv6 /48.
func sourceNetwork(addr netip.Addr) netip.Prefix {
	bits := 48
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		bits = 24
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
