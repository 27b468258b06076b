package serve

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// By default, Go collects garbage when there is as much of it as live data. A busy service with
// little live data, as with a few thousand users, would collect many times a second and spend a
// tenth of its time on it; an idle one would hold twice the memory that it needs. A collection costs
// time in proportion to the live data, so the share of time that collections take depends only on
// the rate of allocation and on GOGC. That is why GOGC here follows the rate.
const (
	busyRate       = 40 << 20 // bytes allocated per second that deserve the GOGC of Go, or
	busyShare      = 8        // one of so many bytes of live data
	idleShare      = 16       // one of so many bytes of that rate deserves the least
	defaultPercent = 100      // the GOGC of Go
	idlePercent    = defaultPercent / 8
	mostPercent    = defaultPercent * 16
	minGarbage     = 4 << 20  // bytes that accumulate at least between two collections
	minBusyGarbage = 96 << 20 // and at twice the busy rate

	gcTuneInterval = 500 * time.Millisecond
	calmIntervals  = 8       // consecutive intervals that a lower rate lasts until GOGC follows it
	idleIntervals  = 20      // and without a busy one, until the process returns memory
	returnAbove    = 4 << 20 // bytes beside the garbage that GOGC lets gather
)

// tuneGC adapts the garbage collector to the load until ctx ends. After a while without load, it
// returns to the operating system what the load took, which the runtime would do bit by bit over
// minutes. It does nothing if GOGC is set, which is the operator's choice. A limit set with
// GOMEMLIMIT holds in any case.
func tuneGC(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	ticker := time.NewTicker(gcTuneInterval)
	defer ticker.Stop()
	percent, calm, idle, returned := defaultPercent, 0, 0, uint64(0) // bytes held after the last return
	before := readHeap()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := readHeap()
		next := gcPercent(now.live, (now.allocated-before.allocated)*uint64(time.Second/gcTuneInterval))
		before, returned = now, min(returned, now.held)
		if calm++; next >= percent {
			calm = 0
		}
		if next > percent || calm >= calmIntervals {
			// What a short burst leaves alive must not lie scattered among much garbage.
			percent, calm = min(next, 2*percent), 0
			debug.SetGCPercent(percent)
		}
		if idle++; percent >= defaultPercent {
			idle = 0
		}
		if idle >= idleIntervals && now.held > returned*uint64(100+percent)/100+returnAbove {
			debug.FreeOSMemory()
			returned, idle = readHeap().held, 0
		}
	}
}

// gcPercent returns the GOGC for a heap with live bytes of data and rate bytes allocated per second.
// Its values are coarse steps, so that it seldom changes.
func gcPercent(live, rate uint64) int {
	busy, percent, garbage := max(busyRate, live/busyShare), defaultPercent, uint64(minGarbage)
	switch {
	case rate < busy/idleShare:
		percent = idlePercent
	case rate < busy/2:
		percent /= 4
	case rate < busy:
		percent /= 2
	case rate >= 2*busy:
		garbage = minBusyGarbage
	}
	for live*uint64(percent) < garbage*100 && percent < mostPercent {
		percent *= 2
	}
	return percent
}

// heapUse is the memory of the heap in bytes.
type heapUse struct {
	live      uint64 // at the last collection
	allocated uint64 // since the process started
	held      uint64 // with garbage, and with what is free and not returned
}

func readHeap() heapUse {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heapUse{live: value(0), allocated: value(1), held: value(2) + value(3) + value(4)}
}
