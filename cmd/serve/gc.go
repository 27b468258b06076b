package serve

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go collects garbage when as much of it has gathered as there is living data. A busy service with little living data, as this
// is with a few thousand users, would collect many times a second and spend a tenth of its time on it. So while it is busy,
// garbageWhileBusy bytes may gather at least. An idle one keeps its memory small: it collects sooner than Go's own measure
// says, sooner still with much living data, and after a while gives back what busier times took, which the runtime would do bit
// by bit in minutes.
const (
	garbageWhileBusy = 64 << 20
	busy             = 16 << 20 // bytes allocated in a second
	gcLookEvery      = 2 * time.Second
	calm             = 5 // looks in a row without being busy
	defaultPercent   = 100
	idlePercent      = 50
	muchData         = 128 << 20 // of which an idle service lets half as much garbage gather
)

// tuneGC adapts the garbage collector to the load until the context ends. It does nothing when GOGC is set: whoever sets it
// wants that. A limit set with GOMEMLIMIT holds in any case.
func tuneGC(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	ticker := time.NewTicker(gcLookEvery)
	defer ticker.Stop()
	percent, quiet := defaultPercent, 0
	_, before := heap()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		live, allocated := heap()
		next := gcPercent(live, (allocated-before)/uint64(gcLookEvery/time.Second))
		before = allocated
		idle := next < defaultPercent
		if quiet++; !idle {
			quiet = 0
		} else if quiet < calm {
			continue
		}
		if next == percent {
			continue
		}
		debug.SetGCPercent(next)
		if idle && percent >= defaultPercent {
			debug.FreeOSMemory()
		}
		percent = next
	}
}

// gcPercent is the GOGC for a heap of so many living bytes, in which so many are allocated a second. It goes in steps, so that
// it seldom changes.
func gcPercent(live, rate uint64) int {
	switch {
	case rate < busy && live < muchData:
		return idlePercent
	case rate < busy:
		return idlePercent / 2
	}
	percent := defaultPercent
	for live*uint64(percent) < garbageWhileBusy*100 && percent < 16*defaultPercent {
		percent *= 2
	}
	return percent
}

// heap returns the bytes that were living at the last collection, and those allocated since the start.
func heap() (live, allocated uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
