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
	// maxLabels is below the 100 live labels that a user may have.
	maxLabels = 90
	// catchUpTimeout is how long a replica may take to follow changes once the API server is back.
	catchUpTimeout = 2 * time.Minute
)

// awayResult is what a client saw of requests that must write to the API server, while that went
// away and came back.
type awayResult struct {
	Rounds      int      `json:"rounds"`      // entirely without an API server
	Unavailable int      `json:"unavailable"` // answers with 503 in those, to a new label or a revocation; two in each round
	Issued      int      `json:"issued"`      // tokens without a label in those; one in each round
	Granted     int      `json:"granted"`     // labels and revocations that the service promised, at any time
	Broken      int      `json:"broken"`      // of those, by any replica in the end: it accepts a revoked token, or returns another token for a label
	AwaySeconds float64  `json:"awaySeconds"` // how long it had been away at the last reading of the age
	AgeSeconds  float64  `json:"ageSeconds"`  // the age of the replica's last event at that reading
	CaughtUp    float64  `json:"caughtUpSeconds"`
	Examples    []string `json:"examples,omitempty"`
}

// awayWatcher watches the replicas while the API server is away.
type awayWatcher struct {
	settings *settings
	cluster  *cluster
	replicas []*service
	metrics  []*service
	result   awayResult
	since    time.Time         // when the API server went away; zero: it is there
	back     time.Time         // when it came back
	revoked  []string          // tokens that the service confirmed as revoked
	labels   map[string]string // the token that the service returned for each label
}

// away asks for labels and revocations until it is told to stop, by when the API server must be
// back. Then it checks whether the service keeps its promises, and how soon it follows a change.
func away(ctx context.Context, s *settings) (any, error) {
	c, replicas, err := clusterAndReplicas(s)
	if err != nil {
		return nil, err
	}
	w := &awayWatcher{settings: s, cluster: c, replicas: replicas, labels: map[string]string{}}
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
	return w.result, w.checkAfterwards(context.WithoutCancel(ctx))
}

// round asks one replica. It counts as without the API server only if that is unreachable both
// before and after.
func (w *awayWatcher) round(ctx context.Context, i int) {
	before := w.cluster.reachable(ctx)
	r := w.replicas[i%len(w.replicas)]
	labelStatus, revokeStatus := w.askLabel(ctx, r), w.askRevocation(ctx, r)
	age, known := w.lastEventAge(ctx, i%len(w.metrics))
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
	for _, status := range []int{labelStatus, revokeStatus} {
		if status == http.StatusServiceUnavailable {
			w.result.Unavailable++
		}
	}
	if revokeStatus != 0 {
		w.result.Issued++
	}
}

// askLabel asks for the token of a new label and returns the status, or 0 if there are enough
// labels.
func (w *awayWatcher) askLabel(ctx context.Context, r *service) int {
	if len(w.labels) >= maxLabels {
		return 0
	}
	label := "e2e-away-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	a, err := r.issue(ctx, w.loginBody(label))
	w.keepExample("a new label", a, err)
	if a.status == http.StatusOK {
		w.labels[label] = a.field("token")
		w.result.Granted++
	}
	return a.status
}

func (w *awayWatcher) loginBody(label string) map[string]string {
	return map[string]string{"login": w.settings.login, "password": w.settings.password, "label": label, "lifetime": "30m"}
}

// askRevocation revokes a new token and returns the status, or 0 if it got no token.
func (w *awayWatcher) askRevocation(ctx context.Context, r *service) int {
	token, err := r.newToken(ctx, w.settings.login, w.settings.password)
	if err != nil {
		w.keepExample("a token without a label", answer{}, err)
		return 0
	}
	a, err := r.revoke(ctx, token)
	w.keepExample("a revocation", a, err)
	if a.status == http.StatusNoContent {
		w.revoked = append(w.revoked, token)
		w.result.Granted++
	}
	return a.status
}

// keepExample keeps an answer that is neither a success nor 503.
func (w *awayWatcher) keepExample(what string, a answer, err error) {
	allowed := []int{http.StatusOK, http.StatusNoContent, http.StatusServiceUnavailable}
	if (err != nil || !slices.Contains(allowed, a.status)) && len(w.result.Examples) < 10 {
		w.result.Examples = append(w.result.Examples, fmt.Sprintf("%s: status %d %s %v", what, a.status, a.body, err))
	}
}

// lastEventAge reads the age of the last event from the metrics, in seconds, and reports whether it
// could. Without an API server, a replica remembers for about a minute who may read its metrics.
func (w *awayWatcher) lastEventAge(ctx context.Context, replica int) (float64, bool) {
	a, err := w.metrics[replica].do(ctx, http.MethodGet, "/metrics", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+w.cluster.token)
	})
	if err != nil || a.status != http.StatusOK {
		return 0, false
	}
	age, err := metric(string(a.body), "gatehouse_directory_last_event_age_seconds")
	return age, err == nil
}

// checkAfterwards makes a change and waits until every replica follows it and keeps all promises.
func (w *awayWatcher) checkAfterwards(ctx context.Context) error {
	// The API server answers on its own node a little before its Service does.
	for end := time.Now().Add(catchUpTimeout); !w.cluster.reachable(ctx) && time.Now().Before(end); {
		pause(ctx, pollEvery)
	}
	if w.back.IsZero() && !w.since.IsZero() {
		w.back = time.Now()
	}
	if err := w.cluster.setRevoked(ctx, changedUser, true); err != nil {
		return err
	}
	last, err := whenAllReplicas(ctx, catchUpTimeout, w.replicas, func(ctx context.Context, r *service) (bool, error) {
		good, err := accepted(r.authorize(ctx, changedLogin, credentials()[0].password))
		return !good && w.brokenPromises(ctx, r) == 0, err
	})
	if !w.back.IsZero() {
		w.result.CaughtUp = last.Sub(w.back).Seconds()
	}
	if err != nil { // the result tells how many promises broke; without any, the change itself was not followed
		for _, r := range w.replicas {
			w.result.Broken += w.brokenPromises(ctx, r)
		}
		if w.result.Broken == 0 {
			return fmt.Errorf("replicas do not follow a change after the API server is back: %w", err)
		}
	}
	return w.cluster.setRevoked(ctx, changedUser, false)
}

// brokenPromises counts the promises that a replica does not keep, or does not know yet.
func (w *awayWatcher) brokenPromises(ctx context.Context, r *service) int {
	n := 0
	for _, token := range w.revoked {
		if good, err := accepted(r.authenticate(ctx, token)); good || err != nil {
			n++
		}
	}
	for label, token := range w.labels {
		if a, err := r.issue(ctx, w.loginBody(label)); err != nil || a.field("token") != token {
			n++
		}
	}
	return n
}

// reachable reports whether the API server answers anything but a server error.
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
