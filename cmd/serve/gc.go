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
	calmIntervals  = 12      // consecutive intervals that a lower rate lasts until GOGC follows it
	idleIntervals  = 20      // and without a busy one, until the process returns memory
	returnAbove    = 1 << 20 // bytes beside the garbage that GOGC lets gather
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
	tuner := gcTuner{percent: defaultPercent, before: readHeap()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		before := tuner.percent
		returns := tuner.step(readHeap())
		if tuner.percent != before {
			debug.SetGCPercent(tuner.percent)
		}
		if returns {
			debug.FreeOSMemory()
			tuner.returned = readHeap().held
		}
	}
}

// gcTuner decides about the garbage collector once in each gcTuneInterval.
type gcTuner struct {
	percent  int // the GOGC
	before   heapUse
	calm     int    // intervals in a row that deserve a lower GOGC
	peak     int    // the highest that one of them deserves
	idle     int    // intervals in a row that are not busy
	returned uint64 // bytes held after the last return
}

// step takes in the memory after one more interval, and reports whether the process should return what
// it does not need.
func (t *gcTuner) step(now heapUse) (returns bool) {
	rate := (now.allocated - t.before.allocated) * uint64(time.Second/gcTuneInterval)
	t.before, t.returned = now, min(t.returned, now.held)
	switch next := gcPercent(now.live, rate); {
	case next >= t.percent:
		// What a short burst leaves alive must not lie scattered among much garbage.
		t.percent, t.calm, t.peak = min(next, 2*t.percent), 0, 0
	default:
		t.peak = max(t.peak, next)
		if t.calm++; t.calm >= calmIntervals {
			t.percent, t.calm, t.peak = t.peak, 0, 0
		}
	}
	if t.idle++; rate >= busyFor(now.live) {
		t.idle = 0
	}
	enough := float64(t.returned)*(1+float64(t.percent)/100) + returnAbove
	if t.idle < idleIntervals || float64(now.held) <= enough {
		return false
	}
	t.idle = 0
	return true
}

// busyFor returns the bytes allocated per second from which on a process with live bytes of data is busy.
func busyFor(live uint64) uint64 { return max(busyRate, live/busyShare) }

// gcPercent returns the GOGC for a heap with live bytes of data and rate bytes allocated per second.
// Its values are coarse steps, so that it seldom changes.
func gcPercent(live, rate uint64) int {
	busy, percent, garbage := busyFor(live), defaultPercent, uint64(minGarbage)
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
