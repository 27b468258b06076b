package load

import (
	"context"
	"fmt"
	"runtime"
)

// firstLoginName is the row's name in the table.
const firstLoginName = "first login, bcrypt 10, all slots busy"

// firstLoginWindows is how many windows one round of this row takes, because logins are slow.
const firstLoginWindows = 4

// firstLoginsPerRound is more than any machine can serve in the time: 50 hashes a second per slot.
func (p plan) firstLoginsPerRound() int {
	return int(firstLoginWindows*p.window.Seconds()) * hashSlots() * 50
}

// newcomers is how many users the measurements need who have never logged in.
func (p plan) newcomers() int { return p.rounds*p.firstLoginsPerRound() + 2*int(p.flood.Seconds()) + 1 }

// measureFirstLogins logs in users whose passwords the service has never verified, in turn with
// bare hashes on as many cores as the service gives them.
func (b *testbed) measureFirstLogins(ctx context.Context, k kernels) (row, error) {
	measured := row{name: firstLoginName, must: .9, limit: fmt.Sprintf("bare bcrypt on %d of %d cores", hashSlots(), runtime.GOMAXPROCS(0))}
	clients, hangUp := b.toGatehouse.clients(b.connections)
	defer hangUp()
	toService := load{b.gatehouse, clients}
	for range b.rounds {
		var one round
		var err error
		var calls []call
		for range b.firstLoginsPerRound() {
			calls = append(calls, authorizeCall(b.nextNewcomer()))
		}
		if one.got, err = toService.drive(ctx, firstLoginWindows*b.window, expectOK(eachOnce(calls))); err != nil {
			return measured, err
		}
		one.limit = perSecond(hashSlots(), firstLoginWindows*b.window, k.bcrypt)
		measured.rounds = append(measured.rounds, one)
	}
	return measured, nil
}

// nextNewcomer returns a login that no measurement has used.
func (b *testbed) nextNewcomer() string {
	b.lastNewcomer++
	return newcomer(b.lastNewcomer % b.newcomers())
}
