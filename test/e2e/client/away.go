package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	roundEvery = time.Second
	// A user has 100 live labels at most.
	mostLabels = 90
	// ofChanges is how long a replica may take to hear of changes once the API server is back.
	ofChanges = 2 * time.Minute
)

// awayResult is what a client saw of what must be written, while the API server went and came.
type awayResult struct {
	Rounds      int      `json:"rounds"`      // without an API server, from beginning to end
	Unavailable int      `json:"unavailable"` // 503 in those, to a new label or a revocation; two in each round
	Issued      int      `json:"issued"`      // tokens without a label in those; one in each round
	Granted     int      `json:"granted"`     // labels and revocations that were promised, at any time
	Broken      int      `json:"broken"`      // of those, by any replica in the end: a revoked token taken, another token for the label
	AwaySeconds float64  `json:"awaySeconds"` // since when it had been away when the age was read for the last time
	AgeSeconds  float64  `json:"ageSeconds"`  // that age of the replica's last event
	CaughtUp    float64  `json:"caughtUpSeconds"`
	Examples    []string `json:"examples,omitempty"`
}

// absence watches the replicas through one.
type absence struct {
	settings *settings
	cluster  *cluster
	replicas []*service
	metrics  []*service
	result   awayResult
	since    time.Time // the API server is away; zero: it is not
	back     time.Time
	revoked  []string          // tokens whose revocation was answered with success
	labels   map[string]string // the token of each label that was given
}

// away asks for labels and revocations until it is told to stop, by when the API server must be back, and then looks whether
// everything that was promised holds and how soon a change is followed.
func away(ctx context.Context, s *settings) (any, error) {
	c, replicas, err := partners(s)
	if err != nil {
		return nil, err
	}
	w := &absence{settings: s, cluster: c, replicas: replicas, labels: map[string]string{}}
	for _, address := range s.replicas {
		m, err := dial(s, strings.Replace(address, ":8443", ":8080", 1), false)
		if err != nil {
			return nil, err
		}
		w.metrics = append(w.metrics, m)
	}
	for i := 0; ctx.Err() == nil; i++ {
		w.round(context.WithoutCancel(ctx), i)
		if i == 0 {
			fmt.Println("started")
		}
		select {
		case <-ctx.Done():
		case <-time.After(roundEvery):
		}
	}
	return w.result, w.afterwards(context.WithoutCancel(ctx))
}

// round asks one replica. Only what lies between two looks at an absent API server counts as without it.
func (w *absence) round(ctx context.Context, i int) {
	before := w.cluster.reachable(ctx)
	r := w.replicas[i%len(w.replicas)]
	answers := []int{w.label(ctx, r), w.revocation(ctx, r)}
	age, known := w.age(ctx, i%len(w.metrics))
	after := w.cluster.reachable(ctx)
	now := time.Now()
	switch {
	case before && after && !w.since.IsZero():
		w.since, w.back = time.Time{}, now
	case !before && w.since.IsZero():
		w.since = now
	}
	if before || after {
		return
	}
	w.result.Rounds++
	if known {
		w.result.AgeSeconds, w.result.AwaySeconds = age, now.Sub(w.since).Seconds()
	}
	for _, status := range answers {
		if status == http.StatusServiceUnavailable {
			w.result.Unavailable++
		}
	}
	if answers[1] != 0 {
		w.result.Issued++
	}
}

// label asks for the token of a new label.
func (w *absence) label(ctx context.Context, r *service) int {
	if len(w.labels) >= mostLabels {
		return 0
	}
	label := "e2e-away-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	a, err := r.issue(ctx, w.body(label))
	w.note("a new label", a, err)
	if a.status == http.StatusOK {
		w.labels[label] = a.field("token")
		w.result.Granted++
	}
	return a.status
}

func (w *absence) body(label string) map[string]string {
	return map[string]string{"login": w.settings.login, "password": w.settings.password, "label": label, "lifetime": "30m"}
}

// revocation revokes a new token. 0: there was none.
func (w *absence) revocation(ctx context.Context, r *service) int {
	token, err := r.newToken(ctx, w.settings.login, w.settings.password)
	if err != nil {
		w.note("a token without a label", answer{}, err)
		return 0
	}
	a, err := r.revoke(ctx, token)
	w.note("a revocation", a, err)
	if a.status == http.StatusNoContent {
		w.revoked = append(w.revoked, token)
		w.result.Granted++
	}
	return a.status
}

// note keeps what is neither a success nor 503.
func (w *absence) note(what string, a answer, err error) {
	fine := []int{http.StatusOK, http.StatusNoContent, http.StatusServiceUnavailable}
	if (err != nil || !slices.Contains(fine, a.status)) && len(w.result.Examples) < 10 {
		w.result.Examples = append(w.result.Examples, fmt.Sprintf("%s: status %d %s %v", what, a.status, a.body, err))
	}
}

// age reads a metric. Who may read it is known to the replica for about a minute without an API server.
func (w *absence) age(ctx context.Context, replica int) (float64, bool) {
	a, err := w.metrics[replica].do(ctx, http.MethodGet, "/metrics", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+w.cluster.token)
	})
	if err != nil || a.status != http.StatusOK {
		return 0, false
	}
	age, err := metric(string(a.body), "gatehouse_directory_last_event_age_seconds")
	return age, err == nil
}

// afterwards makes a change and waits until every replica follows it and everything that was promised.
func (w *absence) afterwards(ctx context.Context) error {
	for end := time.Now().Add(ofChanges); !w.cluster.reachable(ctx) && time.Now().Before(end); {
		time.Sleep(pollEvery) // it answers its own node a little before it is a Service again
	}
	if w.back.IsZero() && !w.since.IsZero() {
		w.back = time.Now()
	}
	if err := w.cluster.setRevoked(ctx, changedUser, true); err != nil {
		return err
	}
	last, err := onAll(ctx, ofChanges, w.replicas, func(ctx context.Context, r *service) (bool, error) {
		good, err := accepted(r.authorize(ctx, changedLogin, credentials()[0].password))
		return !good && w.broken(ctx, r) == 0, err
	})
	if !w.back.IsZero() {
		w.result.CaughtUp = last.Sub(w.back).Seconds()
	}
	if err != nil { // how many are told; a change that is not followed is an error by itself
		for _, r := range w.replicas {
			w.result.Broken += w.broken(ctx, r)
		}
		if w.result.Broken == 0 {
			return fmt.Errorf("a change after it is back: %w", err)
		}
	}
	return w.cluster.setRevoked(ctx, changedUser, false)
}

// broken counts the promises that a replica does not keep, or does not know of yet.
func (w *absence) broken(ctx context.Context, r *service) int {
	n := 0
	for _, token := range w.revoked {
		if good, err := accepted(r.authenticate(ctx, token)); good || err != nil {
			n++
		}
	}
	for label, token := range w.labels {
		if a, err := r.issue(ctx, w.body(label)); err != nil || a.field("token") != token {
			n++
		}
	}
	return n
}

// reachable says whether the API server answers anything.
func (c *cluster) reachable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, apiServer+"/version", nil)
	if err != nil {
		return false
	}
	response, err := c.client.Do(r)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode < http.StatusInternalServerError
}
