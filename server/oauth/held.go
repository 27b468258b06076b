package oauth

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/longpoll"
)

// heldRequest is a request for revocations that waits without a goroutine of its own.
type heldRequest struct {
	conn  *longpoll.Conn
	at    directory.Position
	until time.Time
	gzip  bool
}

// hold makes a request wait until the log has a change after a position, for some time at most, and
// reports whether it does. It is then answered by attend. It does not if there is a change, if too many
// wait, or if its connection cannot be held.
func (h *handler) hold(w http.ResponseWriter, r *http.Request, at directory.Position, wait time.Duration) bool {
	if head, _ := h.Changes.Head(); head != at.After || h.draining() {
		return false
	}
	if _, ok := h.feed.join(); !ok {
		return false
	}
	conn, ok := longpoll.Hold(w, r)
	if !ok {
		h.feed.leave()
		return false
	}
	h.Waiting.Add(1)
	f := h.feed
	f.mu.Lock()
	f.held = append(f.held, heldRequest{conn, at, h.Now().Add(wait), acceptsGzip(r)})
	begin := !f.attending
	f.attending = true
	f.mu.Unlock()
	if begin {
		go h.attend()
	} else if head, _ := h.Changes.Head(); head != at.After {
		select {
		case f.attention <- struct{}{}:
		default:
		}
	}
	return true
}

// attend answers the held requests, each at its time, until there are none.
func (h *handler) attend() {
	f := h.feed
	for {
		head, changed := h.Changes.Head()
		due, tick := f.due(func(q heldRequest) bool { return q.at.After != head || !h.Now().Before(q.until) || h.draining() })
		for _, q := range due {
			h.Waiting.Add(-1)
			f.leave()
			q.conn.Answer(func(w http.ResponseWriter) {
				if h.draining() {
					w.Header().Set("Connection", "close")
				}
				f.reply(w, h.pageKey(q.at), q.gzip)
			})
		}
		if tick == nil {
			return
		}
		select {
		case <-changed:
		case <-tick:
		case <-f.attention:
		case <-h.Draining:
		}
	}
}

// due takes the held requests that are due, and returns the tick that the others wait for, or nil if there
// are no others: then attend ends.
func (f *feed) due(is func(heldRequest) bool) (due []heldRequest, tick <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rest := f.held[:0]
	for _, q := range f.held {
		if is(q) {
			due = append(due, q)
		} else {
			rest = append(rest, q)
		}
	}
	clear(f.held[len(rest):])
	if f.held = rest; len(rest) == 0 {
		f.held, f.attending = nil, false
		return due, nil
	}
	return due, f.tick
}

func (h *handler) draining() bool {
	select {
	case <-h.Draining:
		return true
	default:
		return false
	}
}
