package oauth

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

const (
	// maximumWaiting is how many requests wait for changes. Further ones are answered at once.
	maximumWaiting = 4096
	// tickEvery is how exact the end of a wait is, and how late a change by the passing of time is
	// heard of.
	tickEvery = 250 * time.Millisecond
	// keptPages is how many encoded answers are kept: verifiers that follow closely ask for the same.
	keptPages = 16
	// worthZipping is the size in bytes above which compression saves more than it costs.
	worthZipping = 1 << 10
)

// feed is what all requests for revocations share. The waiting ones have one timer together, which
// runs only while there are any.
type feed struct {
	instance string
	changes  *directory.Changes

	mu        sync.Mutex
	waiting   int
	tick      chan struct{} // closed by the next tick
	ticking   bool
	held      []heldRequest // of those that wait
	attending bool          // attend runs
	attention chan struct{} // has an element when one was held after a change

	pageMu sync.Mutex
	pages  []*page // the newest last
}

// pageKey identifies an answer while the log does not change.
type pageKey struct {
	at   directory.Position
	asOf time.Time
	head uint64
}

type page struct {
	key    pageKey
	once   sync.Once
	plain  []byte
	zipped []byte // nil: not worth it
	err    error
}

func newFeed(changes *directory.Changes) *feed {
	var instance [12]byte
	_, _ = rand.Read(instance[:]) // never fails: crypto/rand ends the process instead
	return &feed{instance: hex.EncodeToString(instance[:]), changes: changes, tick: make(chan struct{}), attention: make(chan struct{}, 1)}
}

// join adds a request to those that wait, unless they are too many. The request waits for the tick or
// for a change, and leaves afterwards.
func (f *feed) join() (tick <-chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting >= maximumWaiting {
		return nil, false
	}
	f.waiting++
	if !f.ticking {
		f.ticking = true
		time.AfterFunc(tickEvery, f.advance)
	}
	return f.tick, true
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting--
}

// advance adds what the passing of time has changed, and lets the waiting requests look at the clock.
func (f *feed) advance() {
	f.changes.Advance()
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.tick)
	f.tick = make(chan struct{})
	f.ticking = f.waiting > 0
	if f.ticking {
		time.AfterFunc(tickEvery, f.advance)
	}
}

// page returns the encoded answer to a position. Requests for the same answer share it.
func (f *feed) page(key pageKey) (*page, error) {
	f.changes.Advance()
	key.head, _ = f.changes.Head()
	p := f.sharedPage(key)
	p.once.Do(func() {
		if p.plain, p.err = json.Marshal(f.answer(key)); p.err == nil && len(p.plain) > worthZipping {
			p.zipped, p.err = zip(p.plain)
		}
	})
	return p, p.err
}

func (f *feed) sharedPage(key pageKey) *page {
	f.pageMu.Lock()
	defer f.pageMu.Unlock()
	for _, p := range f.pages {
		if p.key == key {
			return p
		}
	}
	if len(f.pages) == keptPages {
		f.pages = append(f.pages[:0], f.pages[1:]...)
	}
	p := &page{key: key}
	f.pages = append(f.pages, p)
	return p
}

func zip(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
