package oauth

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

const (
	maximumWait    = 30 * time.Second
	maximumChanges = 1000 // of one answer, which then has some 64 KiB
	// replyTime is how long a client may take to read an answer after it has waited.
	replyTime = 30 * time.Second
)

// revocations is the response to a verifier that follows what makes tokens void before their end.
// docs/revocations.md describes it.
type revocations struct {
	Instance        string         `json:"instance"`
	Cursor          string         `json:"cursor"`
	AsOf            time.Time      `json:"as_of"`
	Complete        bool           `json:"complete"`
	More            bool           `json:"more"`
	MaximumLifetime int64          `json:"maximum_lifetime"`
	UnknownTenants  []string       `json:"unknown_tenants,omitempty"`
	Users           []userChange   `json:"users"`
	Tokens          []revokedToken `json:"tokens"`
}

type userChange struct {
	UID          string `json:"uid"`
	IssuedBefore *int64 `json:"issued_before,omitempty"`
	Gone         bool   `json:"gone,omitempty"`
}

type revokedToken struct {
	ID        string `json:"id"`
	UID       string `json:"uid"`
	ExpiresAt int64  `json:"expires_at"`
}

// followRevocations serves GET /oauth2/revocations.
func (h *handler) followRevocations(w http.ResponseWriter, r *http.Request) {
	if err := h.authenticateCaller(r, form{}); err != nil {
		h.refuse(w, err)
		return
	}
	query := r.URL.Query()
	wait, preferred, err := requestedWait(r, query)
	if err != nil {
		h.refuse(w, err)
		return
	}
	if preferred {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait.Seconds())))
	}
	at, known := h.position(query.Get("after"))
	if known && wait > 0 {
		if h.hold(w, r, at, wait) || !h.await(w, r, at, wait) {
			return // answered later, or the client has gone
		}
	}
	h.feed.reply(w, h.pageKey(at), acceptsGzip(r))
}

func (h *handler) pageKey(at directory.Position) pageKey {
	return pageKey{at: at, asOf: h.Directory.LastHeard().Truncate(tickEvery)}
}

// await waits until the log has a change after a position, for some time at most, and reports whether
// the client is still there. It is for requests that cannot be held.
func (h *handler) await(w http.ResponseWriter, r *http.Request, at directory.Position, wait time.Duration) bool {
	// The server's deadlines are those of requests that do not wait. An error means that the
	// connection has no deadlines.
	controller, deadline := http.NewResponseController(w), h.Now().Add(wait)
	end := time.Now().Add(wait + replyTime) //nolint:forbidigo // a deadline of the network
	_ = controller.SetReadDeadline(end)
	_ = controller.SetWriteDeadline(end)
	h.Waiting.Add(1)
	defer h.Waiting.Add(-1)
	for {
		tick, ok := h.feed.join()
		if !ok {
			return true
		}
		head, changed := h.Changes.Head()
		if head != at.After || !h.Now().Before(deadline) {
			h.feed.leave()
			return true
		}
		select {
		case <-changed:
		case <-tick:
		case <-h.Draining:
			h.feed.leave()
			w.Header().Set("Connection", "close")
			return true
		case <-r.Context().Done():
			h.feed.leave()
			return false
		}
		h.feed.leave()
	}
}

// requestedWait returns how long a client is ready to wait: the parameter wait, or the preference of
// RFC 7240, 4.3. It reports whether it is the preference.
func requestedWait(r *http.Request, query url.Values) (wait time.Duration, preferred bool, _ error) {
	if text := query.Get("wait"); text != "" {
		wait, err := time.ParseDuration(text)
		if seconds, numberErr := strconv.ParseUint(text, 10, 16); numberErr == nil {
			wait, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || wait < 0 {
			return 0, false, invalidRequest("wait must be a duration such as 30s")
		}
		return min(wait, maximumWait), false, nil
	}
	for preference := range strings.SplitSeq(strings.Join(r.Header.Values("Prefer"), ","), ",") {
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		if seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 16); err == nil {
			return min(time.Duration(seconds)*time.Second, maximumWait), true, nil
		}
	}
	return 0, false, nil
}

// position returns the position that a cursor stands for, and reports whether the cursor is one of
// this instance. The numbers of another instance mean nothing here.
func (h *handler) position(cursor string) (directory.Position, bool) {
	numbers, own := strings.CutPrefix(cursor, h.feed.instance+"-")
	after, removed, _ := strings.Cut(numbers, "-")
	p, err := directory.Position{}, error(nil)
	if !own {
		return p, false
	}
	if p.After, err = strconv.ParseUint(after, 10, 64); err != nil {
		return directory.Position{}, false
	}
	if p.Removed, err = strconv.ParseUint(cmp.Or(removed, "0"), 10, 64); err != nil {
		return directory.Position{}, false
	}
	return p, true
}

func (f *feed) cursor(p directory.Position) string {
	if p.Removed == 0 {
		return fmt.Sprintf("%s-%d", f.instance, p.After)
	}
	return fmt.Sprintf("%s-%d-%d", f.instance, p.After, p.Removed)
}

// answer returns the response to a position.
func (f *feed) answer(key pageKey) revocations {
	unknown := f.changes.UnknownTenants() // before the changes, which are complete when it ends
	page := f.changes.Since(key.at, maximumChanges)
	a := revocations{
		Instance: f.instance, Cursor: f.cursor(page.Next), AsOf: key.asOf.UTC(), Complete: page.Complete, More: page.More,
		MaximumLifetime: int64(f.changes.Lifetime() / time.Second), UnknownTenants: unknown, Users: []userChange{}, Tokens: []revokedToken{},
	}
	for _, c := range page.Changes {
		switch {
		case c.ID == "" && c.Gone:
			a.Users = append(a.Users, userChange{UID: c.UID, Gone: true})
		case c.ID == "":
			a.Users = append(a.Users, userChange{UID: c.UID, IssuedBefore: &c.IssuedBefore})
		case c.TokenEnds.IsZero():
			a.Tokens = append(a.Tokens, revokedToken{ID: c.ID, UID: c.UID})
		default: // rounded up: the end of a token is exact
			a.Tokens = append(a.Tokens, revokedToken{ID: c.ID, UID: c.UID, ExpiresAt: c.TokenEnds.Add(time.Second - 1).Unix()})
		}
	}
	return a
}

// reply writes the answer to a position, compressed for clients that take that if it is worth it.
func (f *feed) reply(w http.ResponseWriter, key pageKey, acceptsGzip bool) {
	page, err := f.page(key)
	if err != nil {
		http.Error(w, "cannot encode the response as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Vary", "Accept-Encoding")
	body := page.plain
	if page.zipped != nil && acceptsGzip {
		w.Header().Set("Content-Encoding", "gzip")
		body = page.zipped
	}
	api.Write(w, http.StatusOK, "application/json", body)
}

func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, quality, _ := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		_, q, weighted := strings.Cut(quality, "=")
		q = strings.Trim(strings.TrimSpace(q), "0.")
		return !weighted || q != ""
	}
	return false
}
