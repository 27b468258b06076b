package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// loadResult is the outcome of a load. Every request is in exactly one of OK, Connection, Failed
// and Wrong.
type loadResult struct {
	Seconds    float64  `json:"seconds"`
	Requests   int      `json:"requests"`
	OK         int      `json:"ok"`
	Connection int      `json:"connection"` // no answer: refused, reset, timed out
	Failed     int      `json:"failed"`     // an answer without a verdict, such as 503
	Wrong      int      `json:"wrong"`      // a right token or password refused, or a revoked token accepted
	Offline    int      `json:"offline"`    // tokens verified offline, with keys cached as long as the service allows
	Longest    float64  `json:"longestMs"`
	P99        float64  `json:"p99Ms"`
	Examples   []string `json:"examples,omitempty"`
}

var errWrong = errors.New("wrong answer")

// loader sends a mix of logins and checks through several clients, half of which keep connections
// of HTTP/1.1 and half of HTTP/2.
type loader struct {
	settings *settings
	clients  []*service
	keys     *jwks
	revoked  string // an opaque token, revoked before the load begins
	jwt      atomic.Value
	opaque   atomic.Value

	mu     sync.Mutex
	result loadResult
	took   []time.Duration
}

// load sends requests at a steady rate until its time is over or the Pod is told to stop.
func load(ctx context.Context, s *settings) (any, error) {
	l := &loader{settings: s}
	for i := range 4 {
		client, err := dial(s, "", i%2 == 0)
		if err != nil {
			return nil, err
		}
		l.clients = append(l.clients, client)
	}
	l.keys = &jwks{service: l.clients[0]}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	fmt.Println("started")
	l.run(ctx)
	return l.summary(), nil
}

// prepare gets the tokens that the first checks need.
func (l *loader) prepare(ctx context.Context) error {
	first := l.clients[0]
	for _, keep := range []func(string){func(t string) { l.revoked = t }, func(t string) { l.opaque.Store(t) }} {
		token, err := first.newToken(ctx, l.settings.login, l.settings.password)
		if err != nil {
			return err
		}
		keep(token)
	}
	if a, err := first.revoke(ctx, l.revoked); err != nil || a.status != http.StatusNoContent {
		return fmt.Errorf("revoke a token: %d %w", a.status, err)
	}
	a, err := first.authorize(ctx, l.settings.login, l.settings.password)
	if err != nil {
		return err
	}
	l.jwt.Store(a.field("access_token"))
	pause(ctx, 2*time.Second) // until every replica knows
	return nil
}

// run sends each kind of request in turn, from each client in turn.
func (l *loader) run(ctx context.Context) {
	begin := time.Now()
	end := time.After(l.settings.duration)
	ticker := time.NewTicker(time.Second / time.Duration(l.settings.rate))
	defer ticker.Stop()
	requests := []func(context.Context, *service) error{
		l.authorizes, l.verifiesJWT, l.issues, l.verifiesOpaque, l.refusesRevoked, l.authenticates, l.logsInPerson,
	}
	var inFlight sync.WaitGroup
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
		case <-end:
		case <-ticker.C:
			request, client := requests[i%len(requests)], l.clients[i%len(l.clients)]
			inFlight.Go(func() { l.count(request, client) })
			continue
		}
		break
	}
	inFlight.Wait()
	l.result.Seconds = time.Since(begin).Seconds()
}

// count sends one request and counts its outcome. The end of the load does not interrupt it.
func (l *loader) count(request func(context.Context, *service) error, client *service) {
	begin := time.Now()
	err := request(context.Background(), client)
	took := time.Since(begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Requests++
	l.took = append(l.took, took)
	var status statusError
	switch {
	case err == nil:
		l.result.OK++
		return
	case errors.Is(err, errWrong):
		l.result.Wrong++
	case errors.As(err, &status):
		l.result.Failed++
	default:
		l.result.Connection++
	}
	if len(l.result.Examples) < 10 {
		l.result.Examples = append(l.result.Examples, begin.UTC().Format(time.TimeOnly)+" "+err.Error())
	}
}

// summary returns the result with what only the end of the load tells.
func (l *loader) summary() loadResult {
	slices.Sort(l.took)
	if n := len(l.took); n > 0 {
		l.result.P99, l.result.Longest = ms(l.took[n*99/100]), ms(l.took[n-1])
	}
	l.result.Offline = l.keys.verified()
	return l.result
}

// statusError is an answer that is not a verdict.
type statusError string

func (e statusError) Error() string { return string(e) }

// wantOK returns nil for an answer of 200, errWrong for a refusal, and a statusError for any other.
func wantOK(a answer, err error) error {
	switch {
	case err != nil:
		return err
	case a.status == http.StatusOK:
		return nil
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return fmt.Errorf("%w: %d %s", errWrong, a.status, a.body)
	default:
		return statusError(fmt.Sprintf("status %d: %s", a.status, a.body))
	}
}

func (l *loader) authorizes(ctx context.Context, c *service) error {
	a, err := c.authorize(ctx, l.settings.login, l.settings.password)
	if err := wantOK(a, err); err != nil {
		return err
	}
	token := a.field("access_token")
	l.jwt.Store(token)
	return l.keys.verify(ctx, token)
}

func (l *loader) issues(ctx context.Context, c *service) error {
	a, err := c.issue(ctx, map[string]string{"login": l.settings.login, "password": l.settings.password})
	if err := wantOK(a, err); err != nil {
		return err
	}
	l.opaque.Store(a.field("token"))
	return nil
}

func (l *loader) logsInPerson(ctx context.Context, c *service) error {
	return wantOK(c.authorize(ctx, "jeanjackson@example.com", "Lantern-Orchard-27-Violet"))
}

func (l *loader) verifiesJWT(ctx context.Context, c *service) error {
	return wantOK(c.forwardAuth(ctx, loadString(&l.jwt)))
}

func (l *loader) verifiesOpaque(ctx context.Context, c *service) error {
	return wantOK(c.forwardAuth(ctx, loadString(&l.opaque)))
}

func (l *loader) authenticates(ctx context.Context, c *service) error {
	return wantOK(c.authenticate(ctx, loadString(&l.opaque)))
}

func (l *loader) refusesRevoked(ctx context.Context, c *service) error {
	a, err := c.authenticate(ctx, l.revoked)
	if err == nil && a.status == http.StatusForbidden {
		return nil
	}
	if err == nil && a.status == http.StatusOK {
		return fmt.Errorf("%w: a revoked token is accepted", errWrong)
	}
	if err == nil {
		return statusError(fmt.Sprintf("status %d: %s", a.status, a.body))
	}
	return err
}

// loadString returns the string in an atomic value, or "" if there is none.
func loadString(v *atomic.Value) string {
	s, _ := v.Load().(string)
	return s
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
