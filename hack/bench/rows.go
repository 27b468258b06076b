package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is one line of the table: what was measured, what it is held against, and what it must reach of that.
type row struct {
	name, limit string
	must        float64 // of the limit
	rounds      []round
}

// round is one turn of a row and its limit.
type round struct {
	got   window
	bare  window
	limit float64 // requests a second
	// joint is the limit with both parts in one process: the bare handler computes the kernel before it answers.
	joint window
}

func (r round) ratio() float64      { return r.got.perSecond() / r.limit }
func (r round) jointRatio() float64 { return r.got.perSecond() / r.joint.perSecond() }

// spec says how to measure a row.
type spec struct {
	name string
	must float64
	// kernel is what the limit has to compute beside answering: nothing where it is nil.
	kernel     func()
	kernelName string
	prepare    prepare
	bare       call // to the bare handler, with an answer of the same length
	fresh      bool // a new connection for each request
	resume     bool // whose TLS session is resumed
}

// prepare returns the calls of one window; nil is the end of them.
type prepare func(ctx context.Context, toService load) (next func(worker int) *call, err error)

func (w *world) measureRows(ctx context.Context) ([]row, error) {
	k, err := newKernels()
	if err != nil {
		return nil, err
	}
	specs, err := w.specs(ctx, k)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, s := range specs {
		if w.only != "" && !strings.Contains(s.name, w.only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring: %s\n", s.name)
		r, err := w.measureRow(ctx, s)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, r)
	}
	if w.only != "" && !strings.Contains(firstLoginName, w.only) {
		return rows, nil
	}
	fmt.Fprintf(os.Stderr, "measuring: %s\n", firstLoginName)
	first, err := w.measureFirstLogins(ctx, k)
	return append(rows, first), err
}

func (w *world) specs(ctx context.Context, k kernels) ([]spec, error) {
	once := func(what call) prepare {
		return func(context.Context, load) (func(int) *call, error) { return always(what), nil }
	}
	firstTime := func(about func(token string) call) prepare {
		return func(ctx context.Context, toService load) (func(int) *call, error) {
			fresh, err := w.freshJWTs(ctx, toService, int(12000*w.window.Seconds()))
			var calls []call
			for _, token := range fresh {
				calls = append(calls, about(token))
			}
			return each(calls), err
		}
	}
	authorize, login := authorizeCall(knownLogin), loginCall(knownLogin)
	authenticate, introspect, verify := authenticateCall(w.tokens.opaque), introspectCall(w.tokens.jwt), verifyCall(w.tokens.jwt)
	specs := []spec{
		{name: "known credential at `/v1/users/authorize`, ES256", must: .85, kernel: k.sign, kernelName: signKernel, prepare: once(authorize), bare: authorize},
		{name: "known credential at `/rbac-api/v1/auth/token`, opaque", must: .7, prepare: once(login), bare: login},
		{name: "`authenticate` of an opaque token", must: .7, prepare: once(authenticate), bare: authenticate},
		{name: "`introspect` of a JWT, first time", must: .85, kernel: k.check, kernelName: checkKernel, prepare: firstTime(introspectCall), bare: introspect},
		{name: "`introspect` of a JWT, seen before", must: .6, prepare: once(introspect), bare: introspect},
		{name: "`/auth/verify` of a JWT, first time", must: .85, kernel: k.check, kernelName: checkKernel, prepare: firstTime(verifyCall), bare: verify},
		{name: "`/auth/verify` of a JWT, seen before", must: .6, prepare: once(verify), bare: verify},
		{name: "`authenticate`, new TLS connection per request", must: .85, prepare: once(authenticate), bare: authenticate, fresh: true},
		{name: "`authenticate`, new TLS connection per request, resumed", must: .85, prepare: once(authenticate), bare: authenticate, fresh: true, resume: true},
	}
	c := w.toGatehouse.client()
	defer c.hangUp()
	for i := range specs {
		var err error
		if specs[i].bare, err = bareTwin(ctx, c, specs[i].bare); err != nil {
			return nil, err
		}
	}
	return specs, nil
}

// bareTwin turns a call of the service into one of the bare handler whose answer is as long.
func bareTwin(ctx context.Context, c *client, what call) (call, error) {
	status, body, err := c.do(ctx, what)
	if err != nil || status != http.StatusOK {
		return call{}, fmt.Errorf("status %d: %s %w", status, body, err)
	}
	what.path = fmt.Sprintf("/bare/%d", len(body))
	return what, nil
}

func (w *world) measureRow(ctx context.Context, s spec) (row, error) {
	out := row{name: s.name, must: s.must, limit: "bare handler"}
	if s.kernel != nil {
		out.limit += " + " + strings.ReplaceAll(s.kernelName, "-", " ")
	}
	serviceClients, hangUp := w.toGatehouse.clients(w.connections)
	defer hangUp()
	bareClients, hangUpBare := w.toBare.clients(w.connections)
	defer hangUpBare()
	toService, toBare := load{w.gatehouse, serviceClients}, load{w.bare, bareClients}
	if s.fresh {
		for _, c := range append(serviceClients, bareClients...) {
			c.reconnecting(s.resume)
		}
	}
	for range w.rounds {
		one, err := w.measureRound(ctx, s, toService, toBare)
		if err != nil {
			return out, err
		}
		out.rounds = append(out.rounds, one)
	}
	return out, nil
}

func (w *world) measureRound(ctx context.Context, s spec, toService, toBare load) (one round, err error) {
	next, err := s.prepare(ctx, toService)
	if err != nil {
		return one, err
	}
	if one.bare, err = toBare.drive(ctx, w.window, expect(always(s.bare))); err != nil {
		return one, err
	}
	if one.got, err = toService.drive(ctx, w.window, expect(next)); err != nil {
		return one, err
	}
	one.limit = one.bare.perSecond()
	if s.kernel != nil {
		one.limit = 1 / (1/one.limit + 1/repeat(runtime.GOMAXPROCS(0), w.window, s.kernel))
		what := s.bare
		what.path += "/" + s.kernelName
		one.joint, err = toBare.drive(ctx, w.window, expect(always(what)))
	}
	return one, err
}

const firstLoginName = "first login, bcrypt 10, all slots busy"

// firstLoginWindows is how many windows the slow row takes at a time.
const firstLoginWindows = 4

// firstLoginsAWindow is more than any core can serve.
func (p plan) firstLoginsAWindow() int {
	return int(firstLoginWindows*p.window.Seconds()) * hashSlots() * 50
}

// newcomers is how many users are needed who have never logged in.
func (p plan) newcomers() int { return p.rounds*p.firstLoginsAWindow() + int(p.flood.Seconds()) + 1 }

// measureFirstLogins lets users log in whose passwords have never been verified, in turn with bare hashes on as many cores
// as the service gives them.
func (w *world) measureFirstLogins(ctx context.Context, k kernels) (row, error) {
	out := row{name: firstLoginName, must: .9, limit: fmt.Sprintf("bare bcrypt on %d of %d cores", hashSlots(), runtime.GOMAXPROCS(0))}
	clients, hangUp := w.toGatehouse.clients(w.connections)
	defer hangUp()
	toService := load{w.gatehouse, clients}
	for range w.rounds {
		var one round
		var err error
		var calls []call
		for range w.firstLoginsAWindow() {
			calls = append(calls, authorizeCall(w.aNewcomer()))
		}
		if one.got, err = toService.drive(ctx, firstLoginWindows*w.window, expect(each(calls))); err != nil {
			return out, err
		}
		one.limit = repeat(hashSlots(), firstLoginWindows*w.window, k.bcrypt)
		out.rounds = append(out.rounds, one)
	}
	return out, nil
}

// aNewcomer returns a login that has not been used.
func (w *world) aNewcomer() string {
	w.nextUser++
	return newcomer(w.nextUser % w.newcomers())
}

// median of what f says of each round.
func (r row) median(f func(round) float64) float64 {
	var all []float64
	for _, one := range r.rounds {
		all = append(all, f(one))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// cost is the server's processor time for one request, in microseconds.
func (r row) cost() float64 {
	return r.median(func(one round) float64 { return float64(one.got.cost()) / float64(time.Microsecond) })
}

func (r row) bareCost() float64 {
	return r.median(func(one round) float64 { return float64(one.bare.cost()) / float64(time.Microsecond) })
}
