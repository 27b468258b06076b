package informer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// interrupted is a transport to an API server some of whose answers about Users are others.
type interrupted struct {
	http.RoundTripper

	mu      sync.Mutex
	answers []answer
	queries []url.Values
}

// answer is what a request for Users is answered, if it is one of those for which the answer is.
type answer struct {
	to     func(url.Values) bool
	status int
	body   string
}

func isWatch(q url.Values) bool { return q.Has("watch") && !q.Has("sendInitialEvents") }

func isSecondPage(q url.Values) bool { return q.Has("continue") }

func isFirstPage(q url.Values) bool {
	return !q.Has("watch") && !q.Has("continue") && q.Get("limit") != "1"
}

const (
	expired     = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old","reason":"Expired","code":410}`
	unavailable = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"etcd is away","reason":"InternalError","code":500}`
)

func (i *interrupted) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/users") {
		return i.RoundTripper.RoundTrip(r)
	}
	i.mu.Lock()
	i.queries = append(i.queries, r.URL.Query())
	if len(i.answers) == 0 || !i.answers[0].to(r.URL.Query()) {
		i.mu.Unlock()
		return i.RoundTripper.RoundTrip(r)
	}
	a := i.answers[0]
	i.answers = i.answers[1:]
	i.mu.Unlock()
	return &http.Response{
		StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a.body)),
	}, nil
}

// asked returns how often Users were listed, in pages and whole, and watched: with all of them, and from where
// a watch had stopped.
func (i *interrupted) asked() (lists, whole, watches, resumed int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, q := range i.queries {
		switch {
		case isWatch(q):
			resumed++
		case q.Has("watch"):
			watches++
		case !q.Has("limit"):
			whole++
		case q.Get("limit") != "1":
			lists++
		}
	}
	return lists, whole, watches, resumed
}

// Each fault happens once, and the cache holds all Users and hears of the next change.
func TestCacheIsWholeAfterAFault(t *testing.T) {
	for name, c := range map[string]struct {
		listOnly                       bool
		answers                        []answer
		lists, whole, watches, resumed int // at least
	}{
		"a watch is too old, also as an event": {
			answers: []answer{{isWatch, http.StatusGone, expired}, {isWatch, http.StatusOK, `{"type":"ERROR","object":` + expired + `}`}}, watches: 3, resumed: 2,
		},
		"a watch fails":        {answers: []answer{{isWatch, http.StatusInternalServerError, unavailable}}, watches: 1, resumed: 2},
		"a watch ends at once": {answers: []answer{{isWatch, http.StatusOK, ""}}, watches: 1, resumed: 2},
		"a watch is not one":   {answers: []answer{{isWatch, http.StatusOK, "<html>"}}, watches: 2, resumed: 1},
		"a list fails":         {listOnly: true, answers: []answer{{isFirstPage, http.StatusInternalServerError, unavailable}}, lists: 2, resumed: 1},
		"the pages of a list are too old": {
			listOnly: true, lists: 2, whole: 1, resumed: 1,
			answers: []answer{{isFirstPage, http.StatusOK, `{"metadata":{"resourceVersion":"1","continue":"x"},"items":[]}`}, {isSecondPage, http.StatusGone, expired}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := apitest.NewWorld(t)
			jean, seen := w.NewUser("jean", `{}`), &interrupted{answers: c.answers}
			var cut *flakyTransport
			users := startUsers(w, func(to http.RoundTripper) http.RoundTripper {
				if c.listOnly {
					to = apitest.ListOnly(to)
				}
				seen.RoundTripper = to
				cut = &flakyTransport{RoundTripper: seen}
				return cut
			})
			key := client.ObjectKeyFromObject(jean)
			for i := range len(c.answers) + 1 {
				display := fmt.Sprint("Jean ", i)
				w.MustPatch(jean, `{"spec":{"displayName":"`+display+`"}}`)
				w.Eventually("the change is there", func() bool { u := users.User(key); return u != nil && u.Spec.DisplayName == display })
				cut.end()
			}
			seen.mu.Lock()
			left := len(seen.answers)
			seen.mu.Unlock()
			lists, whole, watches, resumed := seen.asked()
			if left > 0 || lists+watches < c.lists+c.watches || whole < c.whole || resumed < c.resumed { // the oldest Kubernetes lists instead
				t.Errorf("%d answers are left after %d pages, %d whole lists, %d watches and %d resumed ones", left, lists, whole, watches, resumed)
			}
		})
	}
}

// A watch that ends at once, again and again, must not become a storm of requests.
func TestWatchThatEndsAtOnceIsResumedAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFollower(&kind{observed: func(p *delivery.Progress) *delivery.Observed { return p.Users }}, "team", true, delivery.NewProgress())
		for _, c := range []struct {
			count       int
			lasted      time.Duration
			least, most time.Duration // of the pause
		}{
			{0, 0, 800 * time.Millisecond, 1600 * time.Millisecond}, {0, 0, 1600 * time.Millisecond, 3200 * time.Millisecond},
			{1, 0, 0, 0}, {0, time.Minute, 0, 0}, {0, 3 * time.Minute, 0, 0}, {0, 0, 800 * time.Millisecond, 1600 * time.Millisecond},
		} {
			e := newTestEvents(strings.NewReader(""))
			e.count = c.count
			time.Sleep(c.lasted)
			ended := time.Now()
			f.after(t.Context(), f.fill, e, io.EOF)
			if pause := time.Since(ended); pause < c.least || pause > c.most {
				t.Errorf("after a watch of %s with %d events comes a pause of %s, want %s to %s", c.lasted, c.count, pause, c.least, c.most)
			}
		}
	})
}

func TestTurnsAreLimitedButNobodyWaitsForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		two := make(turns, 2)
		end := two.begin(t.Context())
		two.begin(t.Context())
		time.AfterFunc(time.Second, end)
		for _, want := range []time.Duration{time.Second, longestTurn, longestTurn} {
			started := time.Now()
			two.begin(t.Context())
			if waited := time.Since(started); waited != want {
				t.Errorf("waited for %s, want %s", waited, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		started := time.Now()
		if two.begin(ctx); time.Since(started) != time.Second {
			t.Errorf("waited for %s, and the context ended after 1 s", time.Since(started))
		}
		var all turns
		all.begin(t.Context())()
	})
}
