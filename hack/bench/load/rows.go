package load

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

// row is one line of the table: what was measured, what it is compared with, and what share of that
// it must reach.
type row struct {
	name, limit string
	must        float64 // share of the limit
	rounds      []round
}

// round is one turn of a row and its limit.
type round struct {
	got   window
	bare  window
	limit float64 // requests a second
	// joint is the limit with both parts in one process: the bare handler computes the kernel
	// before it answers.
	joint window
}

func (r round) ratio() float64      { return r.got.perSecond() / r.limit }
func (r round) jointRatio() float64 { return r.got.perSecond() / r.joint.perSecond() }

// spec is how to measure a row.
type spec struct {
	name string
	must float64
	// kernel is what the limit has to compute besides answering; nil: nothing.
	kernel     func()
	kernelName string
	prepare    prepareCalls
	bare       call  // to the bare handler, whose answer has the same length
	than       *call // to the service, which is the limit in the place of the bare handler
	fresh      bool  // a new connection for each request
	resume     bool  // which resumes the TLS session of the one before
}

// prepareCalls returns the calls of one window. A nil call ends the window.
type prepareCalls func(ctx context.Context, toService load) (next func(worker int) *call, err error)

func (b *testbed) measureRows(ctx context.Context) ([]row, error) {
	k, err := newKernels()
	if err != nil {
		return nil, err
	}
	specs, err := b.specs(ctx, k)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, s := range specs {
		if b.only != "" && !strings.Contains(s.name, b.only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring: %s\n", s.name)
		r, err := b.measureRow(ctx, s)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, r)
	}
	if b.only != "" && !strings.Contains(firstLoginName, b.only) {
		return rows, nil
	}
	fmt.Fprintf(os.Stderr, "measuring: %s\n", firstLoginName)
	first, err := b.measureFirstLogins(ctx, k)
	return append(rows, first), err
}

func (b *testbed) specs(ctx context.Context, k kernels) ([]spec, error) {
	repeated := func(what call) prepareCalls {
		return func(context.Context, load) (func(int) *call, error) { return always(what), nil }
	}
	firstTime := func(callFor func(token string) call) prepareCalls {
		return func(ctx context.Context, toService load) (func(int) *call, error) {
			fresh, err := freshJWTs(ctx, toService, int(12000*b.window.Seconds()))
			var calls []call
			for _, token := range fresh {
				calls = append(calls, callFor(token))
			}
			return eachOnce(calls), err
		}
	}
	authorize, login := authorizeCall(knownLogin), loginCall(knownLogin)
	authenticate, introspect, verify := authenticateCall(b.tokens.opaque), introspectCall(b.tokens.jwt), verifyCall(b.tokens.jwt)
	known, err := b.freshAssertions(ctx, 1)
	if err != nil {
		return nil, err
	}
	assert := known[0]
	firstAssertions := func(ctx context.Context, _ load) (func(int) *call, error) {
		calls, err := b.freshAssertions(ctx, int(4000*b.window.Seconds()))
		return eachOnce(calls), err
	}
	specs := []spec{
		{name: "known credential at `/v1/users/authorize`, ES256", must: .85, kernel: k.sign, kernelName: signKernel, prepare: repeated(authorize), bare: authorize},
		{name: "known assertion at `/v1/users/authorize`, ES256", must: .8, kernel: k.sign, kernelName: signKernel, prepare: repeated(assert), bare: assert},
		{name: "known assertion at `/v1/users/authorize`, against a password", must: .95, prepare: repeated(assert), bare: assert, than: &authorize},
		{name: "assertion at `/v1/users/authorize`, first time, RS256", must: .77, kernel: k.assert, kernelName: assertKernel, prepare: firstAssertions, bare: assert},
		{name: "known credential at `/rbac-api/v1/auth/token`, opaque", must: .7, prepare: repeated(login), bare: login},
		{name: "`authenticate` of an opaque token", must: .7, prepare: repeated(authenticate), bare: authenticate},
		{name: "`introspect` of a JWT, first time", must: .85, kernel: k.check, kernelName: checkKernel, prepare: firstTime(introspectCall), bare: introspect},
		{name: "`introspect` of a JWT, seen before", must: .6, prepare: repeated(introspect), bare: introspect},
		{name: "`/auth/verify` of a JWT, first time", must: .85, kernel: k.check, kernelName: checkKernel, prepare: firstTime(verifyCall), bare: verify},
		{name: "`/auth/verify` of a JWT, seen before", must: .6, prepare: repeated(verify), bare: verify},
		{name: "`authenticate`, new TLS connection per request", must: .85, prepare: repeated(authenticate), bare: authenticate, fresh: true},
		{name: "`authenticate`, new TLS connection per request, resumed", must: .85, prepare: repeated(authenticate), bare: authenticate, fresh: true, resume: true},
	}
	c := b.toGatehouse.client()
	defer c.hangUp()
	for i := range specs {
		var err error
		if specs[i].bare, err = bareTwin(ctx, c, specs[i].bare); err != nil {
			return nil, err
		}
	}
	return specs, nil
}

// bareTwin returns the call of the bare handler whose answer is as long as the service's.
func bareTwin(ctx context.Context, c *client, what call) (call, error) {
	status, body, err := c.do(ctx, what)
	if err != nil || status != http.StatusOK {
		return call{}, fmt.Errorf("status %d: %s %w", status, body, err)
	}
	what.path = fmt.Sprintf("/bare/%d", len(body))
	return what, nil
}

func (b *testbed) measureRow(ctx context.Context, s spec) (row, error) {
	measured := row{name: s.name, must: s.must, limit: "bare handler"}
	if s.than != nil {
		measured.limit = "known credential"
	}
	if s.kernel != nil {
		measured.limit += " + " + strings.ReplaceAll(s.kernelName, "-", " ")
	}
	serviceClients, hangUp := b.toGatehouse.clients(b.connections)
	defer hangUp()
	bareClients, hangUpBare := b.toBare.clients(b.connections)
	defer hangUpBare()
	toService, toBare := load{b.gatehouse, serviceClients}, load{b.bare, bareClients}
	if s.fresh {
		for _, c := range append(serviceClients, bareClients...) {
			c.reconnecting(s.resume)
		}
	}
	for range b.rounds {
		one, err := b.measureRound(ctx, s, toService, toBare)
		if err != nil {
			return measured, err
		}
		measured.rounds = append(measured.rounds, one)
	}
	return measured, nil
}

func (b *testbed) measureRound(ctx context.Context, s spec, toService, toBare load) (one round, err error) {
	next, err := s.prepare(ctx, toService)
	if err != nil {
		return one, err
	}
	if s.than != nil {
		one.bare, err = toService.drive(ctx, b.window, expectOK(always(*s.than)))
	} else {
		one.bare, err = toBare.drive(ctx, b.window, expectOK(always(s.bare)))
	}
	if err != nil {
		return one, err
	}
	if one.got, err = toService.drive(ctx, b.window, expectOK(next)); err != nil {
		return one, err
	}
	one.limit = one.bare.perSecond()
	if s.kernel != nil {
		one.limit = 1 / (1/one.limit + 1/perSecond(runtime.GOMAXPROCS(0), b.window, s.kernel))
		what := s.bare
		what.path += "/" + s.kernelName
		one.joint, err = toBare.drive(ctx, b.window, expectOK(always(what)))
	}
	return one, err
}

// median returns the median of f over the rounds.
func (r row) median(f func(round) float64) float64 {
	var all []float64
	for _, one := range r.rounds {
		all = append(all, f(one))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// cost is the service's processor time for one request, in microseconds.
func (r row) cost() float64 {
	return r.median(func(one round) float64 { return float64(one.got.cost()) / float64(time.Microsecond) })
}

// bareCost is the bare handler's processor time for one request, in microseconds.
func (r row) bareCost() float64 {
	return r.median(func(one round) float64 { return float64(one.bare.cost()) / float64(time.Microsecond) })
}
